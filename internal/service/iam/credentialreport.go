package iam

import (
	"bytes"
	"context"
	"encoding/csv"
	"slices"
	"strconv"
	"time"

	api "brume/internal/api/iam"
)

// reportLife is how long a credential report counts before another one is made.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
const reportLife = 4 * time.Hour

// A reportRow is the last credential report of an account.
type reportRow struct {
	Made    time.Time
	Content []byte
}

// reportColumns are the columns of the report.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html#id_credentials_understanding_the_report_format
func reportColumns() []string {
	return []string{
		"user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed",
		"password_next_rotation", "mfa_active",
		"access_key_1_active", "access_key_1_last_rotated", "access_key_1_last_used_date", "access_key_1_last_used_region",
		"access_key_1_last_used_service",
		"access_key_2_active", "access_key_2_last_rotated", "access_key_2_last_used_date", "access_key_2_last_used_region",
		"access_key_2_last_used_service",
		"cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated",
	}
}

const (
	notAvailable  = "N/A"
	noInformation = "no_information"
	notSupported  = "not_supported"
)

func reportTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05-07:00") }

// GenerateCredentialReport makes a new report if the last one is too old. The report is there when it returns, but the
// first answer about a report is STARTED, as clients expect who ask until it is COMPLETE.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GenerateCredentialReport.html
func (s *Service) GenerateCredentialReport(ctx context.Context, _ *api.GenerateCredentialReportInput) (*api.GenerateCredentialReportOutput, error) {
	var content []byte
	err := s.view(ctx, func(r reader) (err error) {
		old, err := r.report()
		if err != nil || old != nil && r.Now().Sub(old.Made) < reportLife {
			content = nil
			return err
		}
		content, err = s.credentialReport(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if content == nil {
		return &api.GenerateCredentialReportOutput{State: new("COMPLETE")}, nil
	}
	err = s.update(ctx, func(t txn) error {
		return t.setJSON(reportKey(t.account), reportRow{t.tx.Now().UTC().Truncate(time.Second), content})
	})
	if err != nil {
		return nil, err
	}
	return &api.GenerateCredentialReportOutput{
		State: new("STARTED"), Description: new("No report exists. Starting a new report generation task"),
	}, nil
}

// report returns the last credential report, nil if there is none.
func (r reader) report() (*reportRow, error) {
	var row reportRow
	ok, err := r.getJSON(reportKey(r.account), &row)
	if err != nil || !ok {
		return nil, err
	}
	return &row, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetCredentialReport.html
func (s *Service) GetCredentialReport(ctx context.Context, _ *api.GetCredentialReportInput) (*api.GetCredentialReportOutput, error) {
	out := &api.GetCredentialReportOutput{ReportFormat: new("text/csv")}
	err := s.view(ctx, func(r reader) error {
		row, err := r.report()
		switch {
		case err != nil:
			return err
		case row == nil:
			return &api.CredentialReportNotPresentException{Message: new("No report present. Call GenerateCredentialReport to generate one.")}
		case r.Now().Sub(row.Made) >= reportLife:
			return &api.CredentialReportExpiredException{Message: new("The report has expired. Call GenerateCredentialReport to generate a new one.")}
		}
		out.Content, out.GeneratedTime = row.Content, &row.Made
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// credentialReport writes the report: a line for the root of the account, and one for each user.
func (s *Service) credentialReport(r reader) ([]byte, error) {
	policy, err := r.passwordPolicy()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	write := func(name, arn, owner string, created time.Time, password []string) error {
		mfa, err := r.any(deviceOfScope(owner))
		if err != nil {
			return err
		}
		keys, err := s.reportKeys(r, owner)
		if err != nil {
			return err
		}
		certificates, err := r.reportCertificates(owner)
		if err != nil {
			return err
		}
		return w.Write(slices.Concat([]string{name, arn, reportTime(created)}, password, []string{strconv.FormatBool(mfa)}, keys, certificates))
	}
	if err := w.Write(reportColumns()); err != nil {
		return nil, err
	}
	created, err := r.accountCreated()
	if err != nil {
		return nil, err
	}
	if created == nil {
		created = new(r.Now())
	}
	root := []string{notSupported, noInformation, notSupported, notSupported}
	if err := write("<root_account>", arn(r.account, "root"), r.account, *created, root); err != nil {
		return nil, err
	}
	for u, err := range r.identities(kindUser, nil, page{}) {
		if err != nil {
			return nil, err
		}
		password, err := r.reportPassword(u.value, policy)
		if err != nil {
			return nil, err
		}
		if err := write(u.value.Name, u.value.arn(r.account), u.value.ID, u.value.Created, password); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return text.Bytes(), w.Error()
}

func (r reader) reportPassword(u *identity, policy *passwordPolicyRow) ([]string, error) {
	var row passwordRow
	ok, err := r.getJSON(passwordKey(u.ID), &row)
	if err != nil {
		return nil, err
	}
	if !ok {
		return []string{"false", notAvailable, notAvailable, notAvailable}, nil
	}
	used, next := noInformation, notAvailable
	if !row.LastUsed.IsZero() {
		used = reportTime(row.LastUsed)
	}
	if expiry := policy.expiry(row.Set); !expiry.IsZero() {
		next = reportTime(expiry)
	}
	return []string{"true", used, reportTime(row.Set), next}, nil
}

func (s *Service) reportKeys(r reader, owner string) ([]string, error) {
	var columns []string
	for k, err := range r.accessKeys(owner, "") {
		if err != nil {
			return nil, err
		}
		use, used, err := s.lastUse(r, k.key)
		if err != nil {
			return nil, err
		}
		columns = append(columns, strconv.FormatBool(k.value.Status == statusActive), reportTime(k.value.Created))
		if used {
			columns = append(columns, reportTime(use.At), use.Region, use.Service)
		} else {
			columns = append(columns, notAvailable, notAvailable, notAvailable)
		}
	}
	for len(columns) < 5*maxAccessKeys {
		columns = append(columns, "false", notAvailable, notAvailable, notAvailable, notAvailable)
	}
	return columns, nil
}

func (r reader) reportCertificates(owner string) ([]string, error) {
	var columns []string
	for c, err := range r.signingCertificates(owner, "") {
		if err != nil {
			return nil, err
		}
		columns = append(columns, strconv.FormatBool(c.value.Status == statusActive), reportTime(c.value.Uploaded))
	}
	for len(columns) < 2*maxSigningCertificates {
		columns = append(columns, "false", notAvailable)
	}
	return columns, nil
}
