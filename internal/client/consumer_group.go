package client

import (
	"context"
	"net/http"

	"github.com/berth-iot/berth/internal/iot"
)

// ConsumerGroups lists the consumer groups of the event endpoint.
func (h *Hub) ConsumerGroups(ctx context.Context) ([]iot.ConsumerGroup, error) {
	var all []iot.ConsumerGroup
	err := h.Do(ctx, Request{Method: http.MethodGet, Path: []string{"berth", "v1", "consumer-groups"}}, &all)
	return all, err
}

// CreateConsumerGroup makes a consumer group, or gives the one that is there.
func (h *Hub) CreateConsumerGroup(ctx context.Context, name string) (iot.ConsumerGroup, error) {
	var g iot.ConsumerGroup
	err := h.Do(ctx, Request{Method: http.MethodPut, Path: []string{"berth", "v1", "consumer-groups", name}}, &g)
	return g, err
}

// DeleteConsumerGroup removes a consumer group.
func (h *Hub) DeleteConsumerGroup(ctx context.Context, name string) error {
	return h.Do(ctx, Request{Method: http.MethodDelete, Path: []string{"berth", "v1", "consumer-groups", name}}, nil)
}
