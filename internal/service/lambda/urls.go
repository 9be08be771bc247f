package lambda

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

// urlRow is what is stored of a function URL.
type urlRow struct {
	ID       string    `json:"id"`
	AuthType string    `json:"authType"`
	Mode     string    `json:"mode"`
	CORS     *corsRow  `json:"cors,omitempty"`
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
}

// corsRow is what a function URL answers to browsers.
type corsRow struct {
	Credentials bool     `json:"credentials,omitempty"`
	Headers     []string `json:"headers,omitempty"`
	Methods     []string `json:"methods,omitempty"`
	Origins     []string `json:"origins,omitempty"`
	Expose      []string `json:"expose,omitempty"`
	MaxAge      *int32   `json:"maxAge,omitempty"`
}

// urlIndex says whose URL it is.
type urlIndex struct {
	Account   string `json:"account"`
	Region    string `json:"region"`
	Name      string `json:"name"`
	Qualifier string `json:"qualifier,omitempty"`
}

const (
	urlPageSize = 50
	urlIDLength = 32
)

// newURLID makes the name of a function URL: letters and digits, as in a label of a host.
func newURLID() string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	var b [urlIDLength]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = letters[b[i]&31]
	}
	return string(b[:])
}

var errNoURL = notFound("The resource you requested does not exist.")

func getURL(rd kv.Reader, r ref) (*urlRow, error) {
	data, ok, err := rd.Get(urlKey(r))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoURL
	}
	return decodeURL(data)
}

func decodeURL(data []byte) (*urlRow, error) {
	row := &urlRow{}
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("lambda: row of a function URL: %w", err)
	}
	return row, nil
}

// urlTime is how function URLs write times.
func urlTime(t time.Time) *string { return new(t.UTC().Format("2006-01-02T15:04:05.000000Z")) }

// urlConfig is a function URL as the API shows it.
func (s *Service) urlConfig(r ref, row *urlRow) *api.FunctionUrlConfig {
	out := &api.FunctionUrlConfig{
		FunctionUrl: new(s.links.FunctionURL(row.ID, r.region)), FunctionArn: new(r.arn()), AuthType: new(row.AuthType),
		InvokeMode: new(row.Mode), CreationTime: urlTime(row.Created), LastModifiedTime: urlTime(row.Modified),
	}
	if c := row.CORS; c != nil {
		out.Cors = &api.Cors{
			AllowCredentials: new(c.Credentials), AllowHeaders: c.Headers, AllowMethods: c.Methods, AllowOrigins: c.Origins,
			ExposeHeaders: c.Expose, MaxAge: c.MaxAge,
		}
	}
	return out
}

// apply follows what a request says; nil leaves all as it is.
func (row *urlRow) apply(authType, mode *string, cors *api.Cors) {
	set(&row.AuthType, authType)
	set(&row.Mode, mode)
	if cors == nil {
		return
	}
	row.CORS = &corsRow{
		Headers: cors.AllowHeaders, Methods: cors.AllowMethods, Origins: cors.AllowOrigins, Expose: cors.ExposeHeaders, MaxAge: cors.MaxAge,
	}
	set(&row.CORS.Credentials, cors.AllowCredentials)
}

// urlTarget is what a URL leads to: a function or an alias, which must exist.
func (s *Service) urlTarget(ctx context.Context, rd kv.Reader, name, qualifier *string) (ref, error) {
	r, err := resolveName(ctx, name, qualifier)
	if err != nil {
		return ref{}, err
	}
	if r.qualifier == latest {
		r.qualifier = ""
	}
	if r.isVersion() {
		return ref{}, failsConstraint(r.qualifier, "qualifier", `Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)`)
	}
	_, _, err = s.find(rd, r)
	return r, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html
func (s *Service) CreateFunctionUrlConfig(ctx context.Context, in *api.CreateFunctionUrlConfigInput) (*api.CreateFunctionUrlConfigOutput, error) {
	var out *api.FunctionUrlConfig
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		r, err := s.urlTarget(ctx, tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		if _, err := getURL(tx, r); err != errNoURL {
			if err == nil {
				err = conflict("Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function", r.arn())
			}
			return err
		}
		row := &urlRow{ID: newURLID(), Mode: api.InvokeModeBuffered, Created: tx.Now(), Modified: tx.Now()}
		row.apply(in.AuthType, in.InvokeMode, in.Cors)
		out = s.urlConfig(r, row)
		if err := putJSON(tx, urlIndexKey(row.ID), &urlIndex{r.account, r.region, r.name, r.qualifier}); err != nil {
			return err
		}
		return putJSON(tx, urlKey(r), row)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateFunctionUrlConfigOutput{
		FunctionUrl: out.FunctionUrl, FunctionArn: out.FunctionArn, AuthType: out.AuthType, Cors: out.Cors,
		CreationTime: out.CreationTime, InvokeMode: out.InvokeMode,
	}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionUrlConfig.html
func (s *Service) GetFunctionUrlConfig(ctx context.Context, in *api.GetFunctionUrlConfigInput) (*api.GetFunctionUrlConfigOutput, error) {
	out := &api.GetFunctionUrlConfigOutput{}
	err := s.store.View(ctx, func(rd kv.Reader) error {
		r, err := s.urlTarget(ctx, rd, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		row, err := getURL(rd, r)
		if err != nil {
			return err
		}
		c := s.urlConfig(r, row)
		*out = api.GetFunctionUrlConfigOutput{
			FunctionUrl: c.FunctionUrl, FunctionArn: c.FunctionArn, AuthType: c.AuthType, Cors: c.Cors,
			CreationTime: c.CreationTime, LastModifiedTime: c.LastModifiedTime, InvokeMode: c.InvokeMode,
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionUrlConfig.html
func (s *Service) UpdateFunctionUrlConfig(ctx context.Context, in *api.UpdateFunctionUrlConfigInput) (*api.UpdateFunctionUrlConfigOutput, error) {
	var out *api.UpdateFunctionUrlConfigOutput
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		r, err := s.urlTarget(ctx, tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		row, err := getURL(tx, r)
		if err != nil {
			return err
		}
		row.apply(in.AuthType, in.InvokeMode, in.Cors)
		row.Modified = tx.Now()
		c := s.urlConfig(r, row)
		out = &api.UpdateFunctionUrlConfigOutput{
			FunctionUrl: c.FunctionUrl, FunctionArn: c.FunctionArn, AuthType: c.AuthType, Cors: c.Cors,
			CreationTime: c.CreationTime, LastModifiedTime: c.LastModifiedTime, InvokeMode: c.InvokeMode,
		}
		return putJSON(tx, urlKey(r), row)
	})
	return out, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionUrlConfig.html
func (s *Service) DeleteFunctionUrlConfig(ctx context.Context, in *api.DeleteFunctionUrlConfigInput) (*api.DeleteFunctionUrlConfigOutput, error) {
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		r, err := s.urlTarget(ctx, tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		row, err := getURL(tx, r)
		if err != nil {
			return err
		}
		return deleteURL(tx, r, row)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteFunctionUrlConfigOutput{}, nil
}

func deleteURL(tx kv.Tx, r ref, row *urlRow) error {
	if err := tx.Delete(urlIndexKey(row.ID)); err != nil {
		return err
	}
	return tx.Delete(urlKey(r))
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionUrlConfigs.html
func (s *Service) ListFunctionUrlConfigs(ctx context.Context, in *api.ListFunctionUrlConfigsInput) (*api.ListFunctionUrlConfigsOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems, urlPageSize)
	if err != nil {
		return nil, err
	}
	out := &api.ListFunctionUrlConfigsOutput{FunctionUrlConfigs: []api.FunctionUrlConfig{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		if _, err := s.peek(rd, r.function()); err != nil {
			return err
		}
		for pair, err := range rd.Scan(kv.Prefix(urlsPrefix(r.scope, r.name))) {
			if err != nil {
				return err
			}
			at, err := parseURLKey(pair.Key)
			if err != nil {
				return err
			}
			row, err := decodeURL(pair.Value)
			if err != nil {
				return err
			}
			if p.take(at.qualifier + ":") {
				out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, *s.urlConfig(at, row))
			} else if p.full() {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.NextMarker = p.next()
	return out, nil
}
