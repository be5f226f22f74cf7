package conformance

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// mosquitto gives the arguments that any Mosquitto client needs to be let in.
func mosquitto(t *testing.T, h *rig.Hub, d rig.Identity) []string {
	t.Helper()
	rig.Need(t, "mosquitto_pub", "mosquitto_sub")
	_, port, err := net.SplitHostPort(h.Run.MQTT)
	if err != nil {
		t.Fatal(err)
	}
	hello := d.Hello()
	return []string{
		"-h", "localhost", "-p", port, "--cafile", h.CAFile, "-V", "mqttv311",
		"-i", hello.ClientID, "-u", hello.Username, "-P", hello.Password,
	}
}

// TestMosquittoPublishes sends with QoS 0 and 1, with properties and with RETAIN.
func TestMosquittoPublishes(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	pub := func(a ...string) rig.Result {
		t.Helper()
		return rig.Run(t, nil, "mosquitto_pub", append(mosquitto(t, h, d), a...)...)
	}
	topic := d.EventsTopic()
	pub("-q", "1", "-t", topic, "-m", "one").Must()
	pub("-q", "1", "-t", topic+"%24.ct=text%2Fplain&colour=red", "-m", "two").Must()
	pub("-q", "1", "-r", "-t", topic, "-m", "three").Must()
	pub("-q", "0", "-t", topic, "-m", "four").Must()

	var events []rig.Event
	rig.Until(t, "the message of QoS 0 arrives", func() bool {
		events = h.Events()
		return len(events) == 4
	})
	got := make([]string, 0, len(events))
	for _, e := range events {
		got = append(got, strings.Join([]string{e.Text(), e.System["content-type"], e.Property("colour"), e.Property("mqtt-retain")}, "|"))
	}
	want := []string{"one|||", "two|text/plain|red|", "three|||true", "four|||"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body|content-type|colour|mqtt-retain (-want +got):\n%s", diff)
	}
}

// TestMosquittoIsRefused sends what the hub closes the connection for.
func TestMosquittoIsRefused(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	h.AddDevice("dev2")
	for _, c := range []struct{ name, qos, topic string }{
		{"QoS 2", "2", d.EventsTopic()},
		{"another device's topic", "1", "devices/dev2/messages/events/"},
		{"a topic of nobody", "1", "weather/today"},
		{"a bag with a nameless property", "1", d.EventsTopic() + "=x"},
	} {
		a := append(mosquitto(t, h, d), "-q", c.qos, "-t", c.topic, "-m", "refused")
		if r := rig.Run(t, nil, "timeout", append([]string{"5", "mosquitto_pub"}, a...)...); r.ExitCode == 0 {
			t.Errorf("%s: mosquitto_pub reports success", c.name)
		}
	}
	if got := h.Events(); len(got) != 0 {
		t.Errorf("messages of refused publishes are in the log: %+v", got)
	}
	wrong := d
	wrong.Authentication.SymmetricKey = &rig.SymmetricKey{PrimaryKey: "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc="}
	r := rig.Run(t, nil, "mosquitto_pub", append(mosquitto(t, h, wrong), "-q", "1", "-t", d.EventsTopic(), "-m", "x")...)
	if r.ExitCode != 5 || !strings.Contains(string(r.Stderr), "not authorised") {
		t.Errorf("mosquitto_pub with a wrong key ends with %d: %s; want CONNACK 5", r.ExitCode, r.Stderr)
	}
}

// TestMosquittoWill kills a mosquitto_sub that left a will; a goodbye leaves none.
func TestMosquittoWill(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	rig.Run(t, nil, "mosquitto_sub", append(mosquitto(t, h, d), "-c", "-E", "-q", "1", "-t", "devices/dev1/messages/devicebound/#")...).Must()
	h.Log("dev1", "deviceDisconnect", "")
	connects := 1
	connected := func() *exec.Cmd {
		t.Helper()
		a := append(mosquitto(t, h, d), "-c", "-q", "1", "-t", "devices/dev1/messages/devicebound/#",
			"--will-topic", d.EventsTopic()+"colour=black", "--will-payload", "gone", "--will-qos", "1")
		cmd := exec.Command("mosquitto_sub", a...)
		cmd.SysProcAttr = rig.DieWithParent()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		connects++
		rig.Until(t, "mosquitto_sub is connected", func() bool {
			return h.Sessions(t) == 1 && int(h.Metric("berth_device_connects_total")) == connects
		})
		return cmd
	}

	polite := connected()
	if err := polite.Process.Signal(os.Interrupt); err != nil { // mosquitto_sub says DISCONNECT on SIGINT
		t.Fatal(err)
	}
	polite.Wait()
	rig.Until(t, "the hub knows of the goodbye", func() bool { return h.Sessions(t) == 0 })
	if got := h.Events(); len(got) != 0 {
		t.Fatalf("a goodbye left a will: %+v", got)
	}

	lost := connected()
	lost.Process.Kill()
	rig.Until(t, "the will is in the log", func() bool { return len(h.Events()) == 1 })
	e := h.Events()[0]
	if e.Text() != "gone" || e.Property("iothub-MessageType") != "Will" || e.Property("colour") != "black" {
		t.Errorf("will %q with %v", e.Text(), e.Application)
	}
	h.Log("dev1", "deviceDisconnect", "404104")
}
