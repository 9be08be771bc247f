// Command codegen writes the packages internal/api/<service> from AWS's service models.
//
// It reads the models out of the module github.com/aws/aws-sdk-go (models/apis) as the Go module cache holds it, and
// small overlays for what AWS added later. Run it by `make generate`; its output is committed, and CI checks that it is
// up to date.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("codegen: ")
	out := flag.String("out", "../internal/api", "directory of the generated packages")
	overlays := flag.String("overlays", "overlays", "directory of the overlays")
	flag.Parse()

	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go").Output()
	if err != nil {
		log.Fatalf("finding the models: %v", err)
	}
	models := filepath.Join(string(bytes.TrimSpace(dir)), "models", "apis")
	for _, t := range targets {
		m, err := loadModel(filepath.Join(models, t.Model, "api-2.json"), filepath.Join(*overlays, t.Name+".json"))
		if err != nil {
			log.Fatal(err)
		}
		if err := generate(t, m, filepath.Join(*out, t.Name)); err != nil {
			log.Fatalf("%s: %v", t.Name, err)
		}
	}
}

func generate(t target, m *model, dir string) error {
	g, err := newGenerator(t, m)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, emit := range map[string]func(*source){
		"types_gen.go":   g.emitTypes,
		"errors_gen.go":  g.emitErrors,
		"service_gen.go": g.emitService,
		"schema_gen.go":  g.emitSchema,
	} {
		src := &source{pkg: t.Name, imports: map[string]bool{}}
		emit(src)
		code, err := format.Source(src.bytes())
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), code, 0o644); err != nil {
			return err
		}
	}
	return nil
}
