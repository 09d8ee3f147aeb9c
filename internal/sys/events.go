package sys

import (
	"context"

	"strongroom/engine"
)

// eventRoutes give sys/events/subscribe
// (https://developer.hashicorp.com/vault/docs/concepts/events) its place among the
// routes, for authorization and help: httpapi serves the WebSocket itself.
func (d *Deps) eventRoutes() []engine.Route {
	fields := []engine.Field{
		{Name: "type", Type: engine.String, Required: true, Help: `Type of the events, such as kv-v2/data-write; "*" stands for any text.`},
		{Name: "json", Type: engine.Bool, Help: "Send CloudEvents as JSON; else the protobuf message EventReceived."},
		{Name: "namespaces", Type: engine.StringList, Help: "Patterns of namespaces below the request's own, besides that. May be repeated."},
		{Name: "filter", Type: engine.String, Help: `Expression that events must meet, such as data_path == "secret/data/app".`},
	}
	return []engine.Route{
		{
			Path: "events/subscribe/{type...}", Fields: fields, Answers: engine.Answers{engine.Read: engine.Never{}}, Read: notWebSocket,
			Help: "Tells of changes as they happen, by WebSocket: one message an event.",
		},
		{
			Path: "events/follow/{type...}", Fields: fields, Answers: engine.Answers{engine.Read: engine.Never{}}, Read: notWebSocket, Self: true,
			Help: "Tells of changes to what the calling token may read, and of nothing else: events/subscribe without a policy of its own.",
		},
	}
}

// notWebSocket answers who asks by plain HTTP and may subscribe.
func notWebSocket(context.Context, *engine.Request) (*engine.Response, error) {
	return nil, engine.Invalidf("events are sent by WebSocket: connect to this path with a ws:// or wss:// client, or use \"vault events subscribe\"")
}
