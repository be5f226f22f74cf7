package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/bench"
	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// The bounds of a fleet's registration.
const (
	manyWorkers  = 32               // connects at once unless told otherwise
	fewWorkers   = 4                // the same, where waiting for a processor would be measured too
	fleetWorkers = 4                // bulk requests at once before and after a run
	dismissWait  = time.Minute      // for removing the devices, also after an interruption
	dismissEach  = time.Millisecond // and for each of them besides
	fleetToken   = time.Hour        // life of a device's token
)

// fleetFlags say which devices send the load.
type fleetFlags struct {
	Prefix  string `default:"bench-" help:"What device ids begin with; a number follows."`
	Devices int    `default:"100" help:"How many devices."`
	Workers int    `placeholder:"N" help:"How many connects, or requests, at once (32; takeover 4 and c2d 1, because waiting for a processor would be measured too)."`
	PID     int    `name:"server-pid" placeholder:"PID" help:"Process of the server on this machine, to measure its processor time and memory (Linux)."`
	Keep    bool   `help:"Leave the registered devices in the hub."`
	Known   bool   `help:"The devices are in the hub, kept by an earlier run with the same prefix: none is made, none removed."`
}

// workers gives what was asked for, or most for this kind of run.
func (f fleetFlags) workers(most int) int { return cmp.Or(f.Workers, most) }

func (f fleetFlags) id(n int) string { return fmt.Sprintf("%s%d", f.Prefix, n) }

// fleet is the devices of a load at a hub. Their keys are derived from the policy's
// key, so that a later run finds them unchanged. A fleet without a hub is empty.
type fleet struct {
	fleetFlags

	// fixed

	hub     *client.Hub
	modules int // of each device that is made
}

// account is the nth device as it connects: with a token of its own key.
func (f *fleet) account(n int) (bench.Account, error) {
	id := f.id(n)
	host := f.hub.HostName()
	token := iot.SignSAS(host+"/devices/"+id, "", f.key(id), time.Now().Add(fleetToken))
	return bench.Account{
		ClientID: id,
		Username: host + "/" + id + "/?api-version=2021-04-12",
		Password: []byte(token),
		Topic:    "devices/" + id + "/messages/events/",
		Filter:   "devices/" + id + "/messages/devicebound/#",
	}, nil
}

// amqpAccount is the nth device as it logs in over AMQP.
func (f *fleet) amqpAccount(n int) (bench.Account, error) {
	a, err := f.account(n)
	a.Username = a.ClientID + "@sas." + iot.NewHosts(f.hub.HostName()).Hub()
	device := "/devices/" + url.PathEscape(a.ClientID)
	a.Topic, a.Filter = device+"/messages/events", device+"/messages/devicebound"
	return a, err
}

// service is the back-end, which may do what the policy may.
func (f *fleet) service() (bench.Account, error) {
	user, token := f.hub.PlainLogin(fleetToken)
	return bench.Account{ClientID: f.Prefix + "service", Username: user, Password: token, Topic: "/messages/devicebound"}, nil
}

func (f *fleet) key(id string) []byte { return f.hub.Derive("berth bench " + id) }

// create registers the devices first to first+count-1, or leaves them as they are.
func (f *fleet) create(ctx context.Context, first, count int) error {
	items := make([]iot.BulkItem, 0, count*(1+f.modules))
	for n := first; n < first+count; n++ {
		key := iot.FormatKey(f.key(f.id(n)))
		item := iot.BulkItem{
			ID: f.id(n), ImportMode: iot.ImportCreateOrUpdate, Status: iot.StatusEnabled, Authentication: symmetric(key, key),
		}
		items = append(items, item)
		for m := range f.modules {
			item.ModuleID = fmt.Sprintf("m%d", m)
			items = append(items, item)
		}
	}
	return f.bulk(ctx, items)
}

func (f *fleet) remove(ctx context.Context, first, count int) error {
	items := make([]iot.BulkItem, 0, count)
	for n := first; n < first+count; n++ {
		items = append(items, iot.BulkItem{ID: f.id(n), ImportMode: iot.ImportDelete})
	}
	return f.bulk(ctx, items)
}

// bulk sends one request; that a device to be deleted was never made is no error.
func (f *fleet) bulk(ctx context.Context, items []iot.BulkItem) error {
	result, err := f.hub.Bulk(ctx, items)
	if err == nil || len(result.Errors) == 0 {
		return err
	}
	for _, e := range result.Errors {
		if items[0].ImportMode != iot.ImportDelete || e.ErrorCode != int(fault.DeviceNotFound) {
			return fmt.Errorf("register %s: %06d %s", e.DeviceID, e.ErrorCode, e.ErrorStatus)
		}
	}
	return nil
}

// enlist registers every device.
func (f *fleet) enlist(ctx context.Context) error {
	if f.hub == nil || f.Known {
		return nil
	}
	if !iot.ValidID(f.id(f.Devices)) {
		return usageError(fmt.Sprintf("--prefix %q makes no device ids", f.Prefix))
	}
	return f.each(ctx, f.create)
}

// dismiss removes every device, unless they are to be kept. An interruption of the
// run does not keep it from cleaning up.
func (f *fleet) dismiss(ctx context.Context) error {
	if f.hub == nil || f.Keep || f.Known {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dismissWait+time.Duration(f.Devices)*dismissEach)
	defer cancel()
	return f.each(ctx, f.remove)
}

// each hands out ranges of iot.MaxBulk devices until one fails.
func (f *fleet) each(ctx context.Context, do func(ctx context.Context, first, count int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range fleetWorkers {
		wg.Go(func() {
			for ctx.Err() == nil {
				first := int(next.Add(iot.MaxBulk)) - iot.MaxBulk
				if first >= f.Devices {
					return
				}
				if err := do(ctx, first, min(iot.MaxBulk, f.Devices-first)); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
