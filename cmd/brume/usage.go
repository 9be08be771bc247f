package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"brume/internal/app"
)

type usageCmd struct {
	dataDir
	From string `placeholder:"DAY" help:"First day, such as 2026-01-31, in UTC. Default: the first of this month."`
	To   string `placeholder:"DAY" help:"Last day. Default: today."`
	JSON bool   `help:"Print JSON."`
}

func (c *usageCmd) Run(ctx context.Context) error {
	now := time.Now().UTC()
	if c.From == "" {
		c.From = now.Format("2006-01") + "-01"
	}
	if c.To == "" {
		c.To = now.Format(time.DateOnly)
	}
	u, err := app.ReadUsage(ctx, c.DataDir, c.From, c.To)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(u)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "MONTH\tREGION\tFUNCTION\tARCHITECTURE\tREQUESTS\tGB-SECONDS\tPROVISIONED\t%s\t\n", u.Currency)
	for _, f := range u.Lambda {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%.3f\t%.3f\t%.6f\t\n", f.Month, f.Region, f.Function, f.Architecture, f.Requests, f.GBSeconds, f.ProvisionedGBSeconds, f.Charge)
	}
	fmt.Fprintf(w, "\t\t\t\t\t\tTOTAL\t%.6f\t\n", u.Total)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Printf("\nWhat AWS would have charged from %s to %s at its list prices of %s, without free tier.\n", u.From, u.To, u.Prices)
	return err
}
