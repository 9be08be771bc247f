// Package prices is what AWS charges, from one dated file: list prices in one region, without free tiers, discounts and
// taxes. A service that is metered adds its part to the file and a type for it here.
package prices

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed prices.json
var file []byte

// A List is all prices.
type List struct {
	Date     string `json:"date"` // on which they were looked up
	Region   string `json:"region"`
	Currency string `json:"currency"`
	Lambda   Lambda `json:"lambda"`
}

// Load reads the list.
func Load() (*List, error) {
	l := &List{}
	if err := json.Unmarshal(file, l); err != nil {
		return nil, fmt.Errorf("prices: %w", err)
	}
	return l, nil
}

// Lambda are the prices of AWS Lambda.
type Lambda struct {
	Source             string  `json:"source"`
	PerMillionRequests float64 `json:"perMillionRequests"`
	// EphemeralStorage is per GB-second of what is more than FreeStorageMB.
	EphemeralStorage float64 `json:"ephemeralStoragePerGBSecond"`
	FreeStorageMB    int     `json:"freeEphemeralStorageMB"`
	// PerGBSecond are the tiers of a month by architecture: they count all functions of a region together.
	PerGBSecond map[string][]Tier `json:"perGBSecond"`
	// ProvisionedPerGBSecond is for what is kept ready, ProvisionedRunPerGBSecond for what runs there.
	ProvisionedPerGBSecond    map[string]float64 `json:"provisionedPerGBSecond"`
	ProvisionedRunPerGBSecond map[string]float64 `json:"provisionedRunPerGBSecond"`
}

// A Tier is a price up to an amount; 0 stands for any.
type Tier struct {
	UpTo  float64 `json:"upToGBSeconds"`
	Price float64 `json:"price"`
}

// Duration is what a month's GB-seconds on an architecture cost.
func (l *Lambda) Duration(architecture string, gbSeconds float64) float64 {
	cost, from := 0.0, 0.0
	for _, t := range l.PerGBSecond[architecture] {
		if t.UpTo == 0 || gbSeconds <= t.UpTo {
			return cost + (gbSeconds-from)*t.Price
		}
		cost += (t.UpTo - from) * t.Price
		from = t.UpTo
	}
	return cost
}
