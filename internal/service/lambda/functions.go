package lambda

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/blob"
	"brume/internal/kv"
	"brume/internal/service/lambda/code"
)

const (
	// pageSize is the default and the largest page of functions and versions.
	// https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html
	pageSize = 50
	// codeURLValid is how long the address of a function's code can be used.
	// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
	codeURLValid = 10 * time.Minute
	// maxRequest is how large a request with code may be: MaxZipped in base64, and some room.
	maxRequest = 70167211
)

// https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
func (s *Service) CreateFunction(ctx context.Context, in *api.CreateFunctionInput) (*api.FunctionConfiguration, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if r.qualifier != "" {
		return nil, failsConstraint(*in.FunctionName, "functionName", "Member must not have a version or an alias at its end")
	}
	if in.PackageType != nil && *in.PackageType == api.PackageTypeImage {
		return nil, invalid("PackageType Image is not supported: Brume runs functions from ZIP archives. Use PackageType Zip.")
	}
	if in.Runtime == nil || in.Handler == nil {
		return nil, invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	signing := ""
	set(&signing, in.CodeSigningConfigArn)
	if err := s.store.View(ctx, func(rd kv.Reader) error { return s.checkSigned(ctx, rd, r, signing) }); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if in.TenancyConfig != nil {
		return nil, invalid("TenancyConfig is not supported: Brume has no tenant isolation. Leave it out.")
	}
	configuration := &api.UpdateFunctionConfigurationInput{
		Role: in.Role, Handler: in.Handler, Description: in.Description, Timeout: in.Timeout, MemorySize: in.MemorySize,
		VpcConfig: in.VpcConfig, Environment: in.Environment, Runtime: in.Runtime, DeadLetterConfig: in.DeadLetterConfig,
		KMSKeyArn: in.KMSKeyArn, TracingConfig: in.TracingConfig, Layers: in.Layers, FileSystemConfigs: in.FileSystemConfigs,
		ImageConfig: in.ImageConfig, EphemeralStorage: in.EphemeralStorage, SnapStart: in.SnapStart, LoggingConfig: in.LoggingConfig,
		DurableConfig: in.DurableConfig, CapacityProviderConfig: in.CapacityProviderConfig,
	}
	if err := s.vet(ctx, configuration); err != nil {
		return nil, err
	}
	v := s.newVersion()
	if len(in.Architectures) > 0 {
		v.Architectures = slices.Clone(in.Architectures)
	}
	if err := s.apply(r, v, configuration); err != nil {
		return nil, err
	}
	exists := func(rd kv.Reader) error {
		_, exists, err := rd.Get(functionKey(r.scope, r.name))
		if err == nil && exists {
			err = conflict("Function already exist: %s", r.name)
		}
		return err
	}
	if err := s.store.View(ctx, exists); err != nil { // before the work with the code
		return nil, err
	}
	if err := s.checkRole(ctx, r, *in.Role); err != nil {
		return nil, err
	}
	zip, err := s.zipOf(ctx, "CreateFunction", in.Code)
	if err != nil {
		return nil, err
	}
	if v.Code, v.Unzipped, err = s.packages.add(ctx, zip); err != nil {
		return nil, err
	}

	out := v
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if err := exists(tx); err != nil {
			return err
		}
		v.Generation = 0
		v.touch(tx.Now(), nil)
		if err := s.setLayers(tx, r, v, in.Layers); err != nil {
			return err
		}
		f := &functionRow{Latest: *v, Tags: in.Tags, CodeSigning: signing}
		out = v
		if in.Publish != nil && *in.Publish {
			if out, err = s.publish(tx, r, f, nil); err != nil {
				return err
			}
		}
		if err := s.packages.useAll(tx, v, r); err != nil {
			return err
		}
		return putJSON(tx, functionKey(r.scope, r.name), f)
	})
	if err != nil {
		return nil, s.withoutCode(ctx, v.Code, err)
	}
	s.environments.Prepare(v.function(r))
	if out.Number != 0 {
		r.qualifier = out.version()
	}
	return beingMade(s.configuration(r, out)), nil
}

// withoutCode removes code that was stored for a row that err kept from being written.
func (s *Service) withoutCode(ctx context.Context, code blob.Ref, err error) error {
	if errors.Is(err, kv.ErrReadOnly) {
		return err // it may have been written after all
	}
	if e := s.packages.discard(ctx, code); e != nil {
		// The caller's error matters more, and Sweep finds the rest.
		s.log.ErrorContext(ctx, "code that no function has could not be removed", "code", code.String(), "error", e)
	}
	return err
}

// zipOf returns the archive that a request brings.
func (s *Service) zipOf(ctx context.Context, operation string, in *api.FunctionCode) ([]byte, error) {
	sources := 0
	for _, given := range []bool{in.ZipFile != nil, in.S3Bucket != nil || in.S3Key != nil, in.ImageUri != nil} {
		if given {
			sources++
		}
	}
	switch {
	case sources == 0:
		return nil, invalid("Please provide a source for function code.")
	case sources > 1:
		return nil, invalid("Please do not provide more than one source for function code.")
	case in.ImageUri != nil:
		return nil, invalid("ImageUri is not supported: Brume runs functions from ZIP archives. Use ZipFile.")
	case in.ZipFile == nil:
		return s.objectOf(ctx, operation, in)
	case len(in.ZipFile) > code.MaxZipped:
		return nil, awserr.New("RequestEntityTooLargeException", "Request must be smaller than %d bytes for the %s operation",
			maxRequest, operation).WithStatus(http413)
	}
	return in.ZipFile, nil
}

// objectOf returns the archive that a request names in S3.
func (s *Service) objectOf(ctx context.Context, operation string, in *api.FunctionCode) ([]byte, error) {
	if in.S3Bucket == nil || in.S3Key == nil {
		return nil, invalid("Please provide both S3Bucket and S3Key for function code.")
	}
	if s.objects == nil {
		return nil, invalid("S3Bucket and S3Key are not supported: Brume has no Amazon S3 yet. Use ZipFile.")
	}
	version := ""
	set(&version, in.S3ObjectVersion)
	// Lambda takes larger archives from S3 than with a request, up to the size of what they hold.
	body, err := s.objects.Get(ctx, *in.S3Bucket, *in.S3Key, version, code.MaxUnzipped)
	if errors.Is(err, ErrNoObject) {
		return nil, invalid("Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.")
	}
	return body, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
func (s *Service) GetFunction(ctx context.Context, in *api.GetFunctionInput) (*api.GetFunctionOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	out := &api.GetFunctionOutput{}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		f, v, err := s.find(rd, r)
		if err != nil {
			return err
		}
		out.Configuration = s.configuration(r, v)
		out.Code = &api.FunctionCodeLocation{RepositoryType: new("S3"), Location: new(s.links.CodeURL(ctx, v.Code, codeURLValid))}
		if len(f.Tags) > 0 {
			out.Tags = f.Tags
		}
		if f.Reserved != nil {
			out.Concurrency = &api.Concurrency{ReservedConcurrentExecutions: f.Reserved}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html
func (s *Service) ListFunctions(ctx context.Context, in *api.ListFunctionsInput) (*api.ListFunctionsOutput, error) {
	sc := scopeOf(ctx)
	p, err := newPage(in.Marker, in.MaxItems, pageSize)
	if err != nil {
		return nil, err
	}
	all := in.FunctionVersion != nil && *in.FunctionVersion == api.FunctionVersionAll
	if in.FunctionVersion != nil && !all {
		return nil, failsConstraint(*in.FunctionVersion, "functionVersion", "Member must satisfy enum value set: [ALL]")
	}
	out := &api.ListFunctionsOutput{Functions: []api.FunctionConfiguration{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		for pair, err := range rd.Scan(kv.Prefix(inScope(tagFunction, sc))) {
			if err != nil {
				return err
			}
			_, name, err := parseFunctionKey(pair.Key)
			if err != nil {
				return err
			}
			if !all && name+":" <= p.after {
				continue
			}
			r := ref{sc, name, ""}
			f, err := s.decodeFunction(r, pair.Value)
			if err != nil {
				return err
			}
			if all {
				r.qualifier = latest
			}
			if !p.take(name + ":") {
				if p.full() {
					return nil
				}
			} else {
				out.Functions = append(out.Functions, *listed(s.configuration(r, &f.Latest)))
			}
			if !all {
				continue
			}
			first := len(out.Functions)
			full, err := s.eachVersion(rd, r, p, &out.Functions)
			for i := first; i < len(out.Functions); i++ {
				listed(&out.Functions[i])
			}
			if err != nil || full {
				return err
			}
		}
		return nil
	})
	out.NextMarker = p.next()
	return out, err
}

// listed takes from c what ListFunctions does not tell of.
func listed(c *api.FunctionConfiguration) *api.FunctionConfiguration {
	c.State, c.LastUpdateStatus, c.RuntimeVersionConfig = nil, nil, nil
	return c
}

// eachVersion appends the published versions of a function, and says whether the page is full.
func (s *Service) eachVersion(rd kv.Reader, r ref, p *page, to *[]api.FunctionConfiguration) (full bool, err error) {
	for pair, err := range rd.Scan(kv.Prefix(versionsPrefix(r.scope, r.name))) {
		if err != nil {
			return false, err
		}
		v, err := s.decodeVersion(r, pair.Value)
		if err != nil {
			return false, err
		}
		if !p.take(r.name + ":" + sortable(v.Number)) {
			if p.full() {
				return true, nil
			}
			continue
		}
		*to = append(*to, *s.configuration(r.at(v.version()), v))
	}
	return false, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html
func (s *Service) DeleteFunction(ctx context.Context, in *api.DeleteFunctionInput) (*api.DeleteFunctionOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	switch {
	case r.qualifier == latest:
		return nil, invalid("$LATEST version cannot be deleted without deleting the function.")
	case r.isAlias():
		return nil, invalid("Deletion of aliases is not currently supported.")
	case r.isVersion():
		return s.deleteVersion(ctx, r)
	}
	var generation int64
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		f, err := s.getFunction(tx, r)
		if err != nil {
			return err
		}
		generation = f.Latest.Generation + 1
		if err := s.packages.dropAll(tx, &f.Latest, r); err != nil {
			return err
		}
		err = deletePrefix(tx, versionsPrefix(r.scope, r.name), func(row []byte) error {
			v, err := s.decodeVersion(r, row)
			if err != nil {
				return err
			}
			generation = max(generation, v.Generation+1)
			return s.packages.dropAll(tx, v, r)
		})
		if err != nil {
			return err
		}
		for _, prefix := range [][]byte{aliasesPrefix(r.scope, r.name), policiesPrefix(r.scope, r.name), eventConfigsPrefix(r.scope, r.name), provisionedPrefix(r.scope, r.name), runtimesPrefix(r.scope, r.name)} {
			if err := deletePrefix(tx, prefix, func([]byte) error { return nil }); err != nil {
				return err
			}
		}
		err = deletePrefix(tx, urlsPrefix(r.scope, r.name), func(data []byte) error {
			row, err := decodeURL(data)
			if err != nil {
				return err
			}
			return tx.Delete(urlIndexKey(row.ID))
		})
		if err != nil {
			return err
		}
		if f.Reserved != nil {
			if err := s.setReserved(tx, r, nil); err != nil {
				return err
			}
		}
		return tx.Delete(functionKey(r.scope, r.name))
	})
	if err != nil {
		return nil, err
	}
	if err := s.reprovision(ctx, r.function()); err != nil {
		return nil, err
	}
	s.environments.Retire(r.account, r.region, r.name, "", generation)
	return &api.DeleteFunctionOutput{}, nil
}

// deletePrefix deletes all rows whose keys begin with prefix, and calls each for them.
func deletePrefix(tx kv.Tx, prefix []byte, each func(row []byte) error) error {
	var pairs []kv.Pair
	for pair, err := range tx.Scan(kv.Prefix(prefix)) {
		if err != nil {
			return err
		}
		pairs = append(pairs, pair)
	}
	for _, pair := range pairs {
		if err := each(pair.Value); err != nil {
			return err
		}
		if err := tx.Delete(pair.Key); err != nil {
			return err
		}
	}
	return nil
}

// A page is one page of a list. Its items have keys in ascending order, and its marker is the key of the last item that
// was given out.
type page struct {
	after string
	size  int
	taken int
	last  string
	more  bool
}

func newPage(marker *string, size *int32, most int) (*page, error) {
	p := &page{size: most}
	if size != nil {
		p.size = min(int(*size), most)
	}
	if marker != nil && *marker != "" {
		after, err := base64.RawURLEncoding.DecodeString(*marker)
		if err != nil {
			return nil, invalid("Invalid Marker: %s", *marker)
		}
		p.after = string(after)
	}
	return p, nil
}

// take says whether the item with a key belongs to the page.
func (p *page) take(key string) bool {
	if key <= p.after {
		return false
	}
	if p.taken == p.size {
		p.more = true
		return false
	}
	p.taken++
	p.last = key
	return true
}

// full says whether an item found no room.
func (p *page) full() bool { return p.more }

// next is the marker of the page that follows, nil if there is none.
func (p *page) next() *string {
	if !p.more {
		return nil
	}
	return new(base64.RawURLEncoding.EncodeToString([]byte(p.last)))
}
