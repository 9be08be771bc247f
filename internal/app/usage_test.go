package app

import (
	"math"
	"testing"

	"brume/internal/prices"
	"brume/internal/service/lambda"
)

// 1,000 environments of 1,024 MB for four hours, in which functions run 1.2 million times for a second, and once elsewhere.
// https://aws.amazon.com/lambda/pricing/#Provisioned_Concurrency_Pricing
func TestChargeForProvisionedConcurrency(t *testing.T) {
	list, err := prices.Load()
	if err != nil {
		t.Fatal(err)
	}
	readings := []lambda.MeterReading{
		{Region: "r", Day: "2026-01-01", Function: "f", Architecture: "x86_64", Usage: lambda.Usage{
			ProvisionedMBMillis: 1000 * 1024 * 4 * 3600 * 1000, Requests: 1_200_000, ProvisionedRunMBMillis: 1_200_000 * 1024 * 1000}},
		{Region: "r", Day: "2026-01-02", Function: "f", Architecture: "x86_64", Usage: lambda.Usage{Requests: 1, MemoryMBMillis: 1024 * 1000}},
	}
	got := charge(&list.Lambda, readings)
	want := 14_400_000*0.0000041667 + 1_200_000*0.0000097222 + 1_200_001*0.20/1e6 + 0.0000166667
	if len(got) != 1 || math.Abs(got[0].Charge-want) > 1e-9 || got[0].ProvisionedGBSeconds != 14_400_000 || got[0].GBSeconds != 1_200_001 {
		t.Errorf("%+v, want a charge of %v", got, want)
	}
}
