package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// model is a service model (api-2.json), as far as we use it.
type model struct {
	Metadata struct {
		APIVersion      string `json:"apiVersion"`
		EndpointPrefix  string `json:"endpointPrefix"`
		GlobalEndpoint  string `json:"globalEndpoint"`
		JSONVersion     string `json:"jsonVersion"`
		Protocol        string `json:"protocol"`
		ServiceFullName string `json:"serviceFullName"`
		SigningName     string `json:"signingName"`
		TargetPrefix    string `json:"targetPrefix"`
		XMLNamespace    string `json:"xmlNamespace"`
	} `json:"metadata"`
	Operations map[string]*operation `json:"operations"`
	Shapes     map[string]*shape     `json:"shapes"`
}

type operation struct {
	Name string `json:"name"`
	HTTP struct {
		Method       string `json:"method"`
		RequestURI   string `json:"requestUri"`
		ResponseCode int    `json:"responseCode"`
	} `json:"http"`
	Input      *ref   `json:"input"`
	Output     *ref   `json:"output"`
	Errors     []ref  `json:"errors"`
	Deprecated bool   `json:"deprecated"`
	AuthType   string `json:"authtype"`
}

type shape struct {
	Type            string   `json:"type"`
	Members         members  `json:"members"`
	Required        []string `json:"required"`
	Member          *ref     `json:"member"`
	Key             *ref     `json:"key"`
	Value           *ref     `json:"value"`
	Enum            []string `json:"enum"`
	Min             *float64 `json:"min"`
	Max             *float64 `json:"max"`
	Pattern         string   `json:"pattern"`
	Payload         string   `json:"payload"`
	Flattened       bool     `json:"flattened"`
	LocationName    string   `json:"locationName"`
	Sensitive       bool     `json:"sensitive"`
	Union           bool     `json:"union"`
	TimestampFormat string   `json:"timestampFormat"`
	Exception       bool     `json:"exception"`
	Fault           bool     `json:"fault"`
	EventStream     bool     `json:"eventstream"`
	Error           *struct {
		Code           string `json:"code"`
		HTTPStatusCode int    `json:"httpStatusCode"`
	} `json:"error"`
}

type ref struct {
	Shape            string `json:"shape"`
	Location         string `json:"location"`
	LocationName     string `json:"locationName"`
	ResultWrapper    string `json:"resultWrapper"`
	IdempotencyToken bool   `json:"idempotencyToken"`
	JSONValue        bool   `json:"jsonvalue"`
	Streaming        bool   `json:"streaming"`
	Flattened        bool   `json:"flattened"`
	XMLAttribute     bool   `json:"xmlAttribute"`
	TimestampFormat  string `json:"timestampFormat"`
	XMLNamespace     struct {
		URI    string `json:"uri"`
		Prefix string `json:"prefix"`
	} `json:"xmlNamespace"`
}

// members keeps the members of a structure in the order of the model, which AWS follows in its responses and messages.
type members []member

type member struct {
	Name string
	ref
}

func (m *members) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var r ref
		if err := dec.Decode(&r); err != nil {
			return err
		}
		*m = append(*m, member{name.(string), r})
	}
	return nil
}

// overlay adds to a model what AWS added after the models were published.
type overlay struct {
	Reason     string                `json:"reason"`
	Operations map[string]*operation `json:"operations"`
	// Unsigned are operations of the model that need no signature.
	Unsigned []string `json:"unsigned"`
	// Shapes are added; members and enum values of shapes that exist already are appended to theirs. Values that are all
	// those of an enum put them into the order that messages have.
	Shapes map[string]*shape `json:"shapes"`
	// Unbounded are shapes whose maximum AWS has lifted.
	Unbounded []string `json:"unbounded"`
	// Unchecked are shapes whose bounds, and Optional members whose absence, the service words itself.
	Unchecked []string            `json:"unchecked"`
	Optional  map[string][]string `json:"optional"`
}

func loadModel(file, overlayFile string) (*model, error) {
	m := new(model)
	if err := readJSON(file, m); err != nil {
		return nil, err
	}
	var o overlay
	switch err := readJSON(overlayFile, &o); {
	case os.IsNotExist(err):
		return m, nil
	case err != nil:
		return nil, err
	case o.Reason == "":
		return nil, fmt.Errorf("%s: an overlay gives its reason", overlayFile)
	}
	for name, op := range o.Operations {
		if m.Operations[name] != nil {
			return nil, fmt.Errorf("%s: the model has the operation %s", overlayFile, name)
		}
		m.Operations[name] = op
	}
	for _, name := range o.Unbounded {
		s := m.Shapes[name]
		if s == nil || s.Max == nil {
			return nil, fmt.Errorf("%s: %s has no maximum", overlayFile, name)
		}
		s.Max = nil
	}
	for _, name := range o.Unsigned {
		if m.Operations[name] == nil {
			return nil, fmt.Errorf("%s: the model lacks the operation %s", overlayFile, name)
		}
		m.Operations[name].AuthType = "none"
	}
	for name, add := range o.Shapes {
		s := m.Shapes[name]
		if s == nil {
			m.Shapes[name] = add
			continue
		}
		if slices.Equal(slices.Sorted(slices.Values(s.Enum)), slices.Sorted(slices.Values(add.Enum))) {
			s.Enum, add.Enum = add.Enum, nil
		}
		if add.Pattern != "" { // what a member takes has grown
			s.Pattern = add.Pattern
		}
		for _, value := range add.Enum {
			if slices.Contains(s.Enum, value) {
				return nil, fmt.Errorf("%s: %s has the value %s already", overlayFile, name, value)
			}
			s.Enum = append(s.Enum, value)
		}
		for _, add := range add.Members {
			if slices.ContainsFunc(s.Members, func(m member) bool { return m.Name == add.Name }) {
				return nil, fmt.Errorf("%s: %s has the member %s already", overlayFile, name, add.Name)
			}
			s.Members = append(s.Members, add)
		}
	}
	for _, name := range o.Unchecked {
		s := m.Shapes[name]
		if s == nil || s.Min == nil && s.Max == nil {
			return nil, fmt.Errorf("%s: %s has no bounds", overlayFile, name)
		}
		s.Min, s.Max = nil, nil
	}
	for name, list := range o.Optional {
		for _, member := range list {
			if s := m.Shapes[name]; s == nil || !slices.Contains(s.Required, member) {
				return nil, fmt.Errorf("%s: %s does not require %s", overlayFile, name, member)
			}
		}
		m.Shapes[name].Required = slices.DeleteFunc(m.Shapes[name].Required, func(r string) bool { return slices.Contains(list, r) })
	}
	return m, nil
}

func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
