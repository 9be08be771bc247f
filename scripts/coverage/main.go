// Command coverage writes the table of implemented operations into a file, between two marker lines. It reads which
// operations a service has out of the methods of its type, so the table cannot say more than the code.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"strings"

	"brume/internal/api/apigateway"
	"brume/internal/api/apigatewaymanagementapi"
	"brume/internal/api/apigatewayv2"
	"brume/internal/api/cloudtrail"
	"brume/internal/api/dynamodb"
	"brume/internal/api/dynamodbstreams"
	"brume/internal/api/iam"
	"brume/internal/api/lambda"
	"brume/internal/api/logs"
	"brume/internal/api/sts"
	"brume/internal/schema"
)

const (
	begin = "<!-- operations: written by make generate -->\n"
	end   = "<!-- operations: end -->\n"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("coverage: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: coverage FILE")
	}
	file := os.Args[1]
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		log.Fatalf("%s has no markers %q and %q", file, begin, end)
	}
	var out bytes.Buffer
	out.Write(before)
	out.WriteString(begin)
	if err := writeTable(&out); err != nil {
		log.Fatal(err)
	}
	out.WriteString(end)
	out.Write(after)
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}

func writeTable(out *bytes.Buffer) error {
	out.WriteString("\n| service | operations | which |\n| --- | --- | --- |\n")
	for _, svc := range []*schema.Service{iam.Schema(), sts.Schema(), dynamodb.Schema(), dynamodbstreams.Schema(),
		lambda.Schema(), logs.Schema(), apigateway.Schema(), apigatewayv2.Schema(), apigatewaymanagementapi.Schema(), cloudtrail.Schema()} {
		dir, receiver := svc.Name, "Service"
		switch svc.Name {
		case "dynamodbstreams":
			dir, receiver = "dynamodb", "Streams" // a part of the tables' service
		case "apigatewaymanagementapi":
			dir, receiver = "apigatewayv2", "Connections" // likewise, of its WebSocket APIs
		}
		methods, err := methodsOf(filepath.Join("internal", "service", dir), receiver)
		if err != nil {
			return err
		}
		var here, missing []string
		for _, op := range svc.Operations {
			if methods[op.Name] {
				here = append(here, op.Name)
			} else {
				missing = append(missing, op.Name)
			}
		}
		which := strings.Join(here, ", ")
		switch {
		case len(missing) == 0:
			which = "all"
		case len(missing) < len(here):
			which = "all but " + strings.Join(missing, ", ")
		}
		fmt.Fprintf(out, "| %s | %d of %d | %s |\n", svc.FullName, len(here), len(here)+len(missing), which)
	}
	out.WriteString("\n")
	return nil
}

// methodsOf are the names of the methods of a type in the package in dir; none if there is no such package.
func methodsOf(dir, receiver string) (map[string]bool, error) {
	methods := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			if star, ok := fn.Recv.List[0].Type.(*ast.StarExpr); ok {
				if id, ok := star.X.(*ast.Ident); ok && id.Name == receiver {
					methods[fn.Name.Name] = true
				}
			}
		}
	}
	return methods, nil
}
