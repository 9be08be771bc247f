package main

import (
	"strings"
	"testing"
)

func TestConvert(t *testing.T) {
	const head = `{"arn":"arn:aws:iam::aws:policy/`
	const rest = `","latestVersionId":"v2","createdDate":"2015-02-06T18:39:46.000Z","lastUpdatedDate":"2020-01-01T00:00:00.000Z",
		"versions":{"v1":{"createdDate":"2015-02-06T18:39:46.000Z","document":{}},"v2":{"createdDate":"2020-01-01T00:00:00.000Z","document":{"Version": "2012-10-17",
		"Statement": [ {"Sid": "A", "Effect": "Allow"} ] }}}}`
	got, err := convert([]byte(`{"B":` + head + `service-role/B` + rest + `,"A":` + head + `A` + rest + `}`))
	if err != nil {
		t.Fatal(err)
	}
	tail := "\tv2\t2015-02-06T18:39:46Z\t2020-01-01T00:00:00Z\t2020-01-01T00:00:00Z\t" +
		`{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow"}]}` + "\n"
	want := "A\tarn:aws:iam::aws:policy/A" + tail + "B\tarn:aws:iam::aws:policy/service-role/B" + tail
	if string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}

	for _, bad := range []string{
		`[]`,
		`{"C":` + head + `B` + rest + `}`,
		`{"A":{"arn":"arn:aws:iam::111122223333:policy/A` + rest + `}`,
		`{"A":` + strings.Replace(head+`A`+rest, `"latestVersionId":"v2"`, `"latestVersionId":"v3"`, 1) + `}`,
		`{"A":` + strings.Replace(head+`A`+rest, `"createdDate":"2015-02-06T18:39:46.000Z","lastUpdated`, `"lastUpdated`, 1) + `}`,
	} {
		if got, err := convert([]byte(bad)); err == nil {
			t.Errorf("%s becomes %s", bad, got)
		}
	}
}

func TestVerify(t *testing.T) {
	if err := verify([]byte("another archive")); err == nil {
		t.Error("an archive with another hash is taken")
	}
}
