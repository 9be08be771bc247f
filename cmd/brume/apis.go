package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"brume/internal/app"
)

type apisCmd struct {
	List   apisListCmd   `cmd:"" default:"withargs" help:"List the APIs of API Gateway with the URLs by which they are invoked."`
	Export apisExportCmd `cmd:"" help:"Write a deployed API as an OpenAPI 3.0 document, or as a collection for Postman and newman."`
}

type apisListCmd struct {
	dataDir
	JSON bool `help:"Print JSON."`
}

func (c *apisListCmd) Run(ctx context.Context) error {
	all, err := app.ListAPIs(ctx, c.DataDir)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(all)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tKIND\tSTAGE\tURL")
	for _, a := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.ID, a.Name, a.Kind, a.Stage, a.URL)
	}
	return w.Flush()
}

type apisExportCmd struct {
	dataDir
	Postman bool   `help:"Write a Postman collection: the base URL and the key are variables, the key without a value."`
	API     string `arg:"" name:"api" help:"Id of the API, or its name."`
	Stage   string `arg:"" help:"Name of the stage."`
}

func (c *apisExportCmd) Run(ctx context.Context) error {
	data, err := app.ExportAPI(ctx, c.DataDir, c.API, c.Stage, c.Postman)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(data, '\n'))
	return err
}
