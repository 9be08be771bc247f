// Package jssdk generates the JavaScript SDK of an API: a client for browsers in the layout that API Gateway documents,
// with which pages written for AWS work as they are. It runs in Node.js too.
//
// All the code in it is Brume's own, and small; the directories keep the names that pages load scripts by.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-generate-sdk-javascript.html
package jssdk

import (
	"archive/zip"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/template"

	"brume/internal/service/apigateway/openapi"
)

//go:embed lib apigClient.js.tmpl README.md.tmpl
var files embed.FS

// scripts are the files that a page loads, in their order.
func scripts() []string {
	return []string{
		"lib/axios/dist/axios.standalone.js", "lib/CryptoJS/rollups/hmac-sha256.js", "lib/CryptoJS/rollups/sha256.js",
		"lib/CryptoJS/components/hmac.js", "lib/CryptoJS/components/enc-base64.js", "lib/url-template/url-template.js",
		"lib/apiGatewayCore/sigV4Client.js", "lib/apiGatewayCore/apiGatewayClient.js", "lib/apiGatewayCore/simpleHttpClient.js",
		"lib/apiGatewayCore/utils.js", "apigClient.js",
	}
}

// root is the directory that everything lies in.
const root = "apiGateway-js-sdk/"

// A client is what the templates take. Its members are JavaScript where a comment does not say otherwise.
type client struct {
	Comment               string // plain text without line breaks or the end of a comment
	InvokeURL, Region     string
	PlainURL, PlainRegion string // plain text
	Methods               []method
	Scripts               []string // plain text
	Example               string   // plain text
}

type method struct {
	Name, Comment                                string // plain text
	Verb, Path, Auth                             string
	PathNames, QueryNames, HeaderNames, Required string
}

// Generate returns the SDK of an API as a zip archive. invokeURL is where the API is reached.
func Generate(d *openapi.Definition, invokeURL, region string) ([]byte, error) {
	c := client{Comment: oneLine(d.Name), InvokeURL: js(invokeURL), Region: js(region), PlainURL: invokeURL, PlainRegion: region, Scripts: scripts(), Example: "rootGet"}
	methods := slices.Clone(d.Methods)
	slices.SortFunc(methods, func(a, b openapi.Method) int {
		return strings.Compare(a.Path+" "+*a.HttpMethod, b.Path+" "+*b.HttpMethod)
	})
	taken := map[string]int{}
	for i := range methods {
		m := &methods[i]
		verbs := []string{*m.HttpMethod}
		if verbs[0] == "ANY" {
			verbs = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
		}
		for _, verb := range verbs {
			name := methodName(m.Path, verb)
			if taken[name]++; taken[name] > 1 {
				name = fmt.Sprintf("%s%d", name, taken[name])
			}
			c.Methods = append(c.Methods, describe(m, name, verb))
		}
	}
	if len(c.Methods) > 0 {
		c.Example = c.Methods[0].Name
	}
	return c.archive()
}

func describe(m *openapi.Method, name, verb string) method {
	names := map[string][]string{"path": nil, "querystring": nil, "header": nil}
	required := []string{}
	for segment := range strings.SplitSeq(m.Path, "/") {
		if inner, ok := strings.CutPrefix(segment, "{"); ok {
			inner = strings.TrimSuffix(strings.TrimSuffix(inner, "}"), "+")
			names["path"] = append(names["path"], inner)
			required = append(required, inner)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(m.RequestParameters)) {
		place, parameter, _ := strings.Cut(strings.TrimPrefix(p, "method.request."), ".")
		if place == "path" {
			continue
		}
		names[place] = append(names[place], parameter)
		if m.RequestParameters[p] {
			required = append(required, parameter)
		}
	}
	auth := "NONE"
	if m.AuthorizationType != nil {
		auth = *m.AuthorizationType
	}
	return method{
		Name: name, Comment: verb + " " + oneLine(m.Path), Verb: js(strings.ToLower(verb)), Path: js(m.Path), Auth: js(auth),
		PathNames: js(names["path"]), QueryNames: js(names["querystring"]), HeaderNames: js(names["header"]), Required: js(required),
	}
}

// methodName is the name under which pages call a method: "/pets/{petId}" and GET make petsPetIdGet.
func methodName(path, verb string) string {
	words := strings.FieldsFunc(path, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
	})
	if len(words) == 0 {
		words = []string{"root"}
	}
	words = append(words, strings.ToLower(verb))
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			w = strings.ToUpper(w[:1]) + w[1:]
		} else {
			w = strings.ToLower(w[:1]) + w[1:]
		}
		b.WriteString(w)
	}
	if name := b.String(); name[0] > '9' {
		return name
	}
	return "_" + b.String()
}

// js is a value in JavaScript. JSON is JavaScript; "<" and line separators come out escaped.
func js(v any) string {
	if list, ok := v.([]string); ok && list == nil {
		return "[]"
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and lists of texts always marshal
	}
	return string(data)
}

func oneLine(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "*/", "* /")
}

func (c *client) archive() ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	templates, err := template.ParseFS(files, "*.tmpl")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"apigClient.js", "README.md"} {
		w, err := z.Create(root + name)
		if err != nil {
			return nil, err
		}
		if err := templates.ExecuteTemplate(w, name+".tmpl", c); err != nil {
			return nil, err
		}
	}
	err = fs.WalkDir(files, "lib", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		w, err := z.Create(root + path)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
