package events

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

type pluginInfo struct {
	Class    string `json:"mount_class"`
	Accessor string `json:"mount_accessor"`
	Path     string `json:"mount_path"`
	Plugin   string `json:"plugin"`
	Local    bool   `json:"is_local,omitempty"`
}

type cloudEvent struct {
	ID          string `json:"id"`
	Source      string `json:"source"`
	SpecVersion string `json:"specversion"`
	Type        string `json:"type"`
	Data        struct {
		Event struct {
			ID       string            `json:"id"`
			Metadata map[string]string `json:"metadata"`
		} `json:"event"`
		Type      string     `json:"event_type"`
		Namespace string     `json:"namespace,omitempty"`
		Plugin    pluginInfo `json:"plugin_info"`
	} `json:"data"`
	ContentType string `json:"datacontenttype"`
	Time        string `json:"time"`
}

func (e *Event) plugin() pluginInfo {
	return pluginInfo{Class: e.Class, Accessor: e.Mount.Accessor, Path: e.Mount.Path, Plugin: e.Mount.Type, Local: e.Local}
}

// JSON is the event as a CloudEvent (https://cloudevents.io). source names the
// cluster's node; index is the state that the write made, or "".
func (e *Event) JSON(source, index string) ([]byte, error) {
	c := cloudEvent{ID: e.ID, Source: source, SpecVersion: "1.0", Type: "*", ContentType: "application/cloudevents", Time: e.Time.Format(time.RFC3339Nano)}
	c.Data.Event.ID, c.Data.Event.Metadata = e.ID, e.metadata(index)
	c.Data.Type, c.Data.Namespace, c.Data.Plugin = e.Type, e.Namespace, e.plugin()
	return json.Marshal(c)
}

// The field numbers of EventReceived and what is within it
// (https://github.com/hashicorp/vault/blob/main/sdk/logical/event.proto), and of
// google.protobuf.Struct and Value.
const (
	receivedEvent, receivedNamespace, receivedType, receivedPlugin = 1, 2, 3, 4
	dataID, dataMetadata                                           = 1, 2
	pluginClass, pluginAccessor, pluginPath, pluginName            = 1, 2, 3, 4
	pluginIsLocal                                                  = 7
	structFields, entryKey, entryValue, valueString                = 1, 1, 2, 3
)

// Protobuf is the event as a logical.EventReceived; index as with JSON. Metadata
// is in the order of its names.
func (e *Event) Protobuf(index string) []byte {
	var data []byte
	data = appendText(data, dataID, e.ID)
	data = appendMessage(data, dataMetadata, structOf(e.metadata(index)))
	var plugin []byte
	info := e.plugin()
	plugin = appendText(plugin, pluginClass, info.Class)
	plugin = appendText(plugin, pluginAccessor, info.Accessor)
	plugin = appendText(plugin, pluginPath, info.Path)
	plugin = appendText(plugin, pluginName, info.Plugin)
	if info.Local {
		plugin = protowire.AppendTag(plugin, pluginIsLocal, protowire.VarintType)
		plugin = protowire.AppendVarint(plugin, 1)
	}
	var out []byte
	out = appendMessage(out, receivedEvent, data)
	out = appendText(out, receivedNamespace, e.Namespace)
	out = appendText(out, receivedType, e.Type)
	return appendMessage(out, receivedPlugin, plugin)
}

func structOf(values map[string]string) []byte {
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(values)) {
		// A text that is "" is still a text: a Value is one of several kinds.
		value := appendMessage(nil, valueString, []byte(values[name]))
		out = appendMessage(out, structFields, appendMessage(appendText(nil, entryKey, name), entryValue, value))
	}
	return out
}

func appendText(b []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

func appendMessage(b []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), message)
}
