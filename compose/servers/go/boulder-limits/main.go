// Answers as Let's Encrypt's CA does when it checks its rate limits: by Boulder's own limiter, with its in-memory source, a
// clock that the caller sets, and the limits of letsencrypt.org/docs/rate-limits.
//
// Reads batches of requests from standard input, one JSON array a line, and prints an array of answers for each.
//
//	{"at": 1800000000.5, "do": "order", "account": 1, "names": ["a.example"], "ari": false}
//
// at: seconds since the epoch; the clock never goes back. do:
//
//	order   newOrder (checkNewOrderLimits in wfe2/wfe.go). ari: now is in the ARI window of the certificate that the order
//	        replaces, so no limit is checked
//	refund  newOrder failed after its limits were spent
//	issue   finalize (countCertificateIssued in ra/ra.go)
//	fail    the authorization of each of the names fails (countFailedValidations in ra/ra.go)
//	valid   each of the names is validated (resetAccountPausingLimit in ra/ra.go)
//	known   a certificate for these names was issued at this time, and no limit is spent
//
// An answer is {} or {"limited": Boulder's text of the answer 429, "retry_after": seconds}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jmhodges/clock"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letsencrypt/boulder/config"
	"github.com/letsencrypt/boulder/core"
	berrors "github.com/letsencrypt/boulder/errors"
	"github.com/letsencrypt/boulder/identifier"
	"github.com/letsencrypt/boulder/ratelimits"
)

// A certificate for the same names in this time makes an order a renewal.
const renewalWindow = 120 * 24 * time.Hour

const longestLine = 64 << 20

var limits = ratelimits.LimitConfigs{
	"NewOrdersPerAccount":                     limit(300, 300, 3*time.Hour),
	"CertificatesPerDomain":                   limit(50, 50, 7*24*time.Hour),
	"CertificatesPerFQDNSet":                  limit(5, 5, 7*24*time.Hour),
	"FailedAuthorizationsPerDomainPerAccount": limit(5, 5, time.Hour),
	"FailedAuthorizationsForPausingPerDomainPerAccount": limit(1152, 1, 24*time.Hour),
}

func limit(burst, count int64, period time.Duration) *ratelimits.LimitConfig {
	return &ratelimits.LimitConfig{Burst: burst, Count: count, Period: config.Duration{Duration: period}}
}

type request struct {
	At      float64  `json:"at"`
	Do      string   `json:"do"`
	Account int64    `json:"account"`
	Names   []string `json:"names"`
	ARI     bool     `json:"ari"`
}

type answer struct {
	Limited    string  `json:"limited,omitempty"`
	RetryAfter float64 `json:"retry_after,omitempty"`
}

type ca struct {
	clock   clock.FakeClock
	limiter *ratelimits.Limiter
	builder *ratelimits.TransactionBuilder
	issued  map[[32]byte]time.Time // the set of names → its newest certificate
	paused  map[string]bool
}

func newCA() (*ca, error) {
	fake := clock.NewFake()
	limiter, err := ratelimits.NewLimiter(fake, ratelimits.NewInmemSource(), prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	builder, err := ratelimits.NewTransactionBuilder(limits, nil, prometheus.NewRegistry(), nil)
	if err != nil {
		return nil, err
	}
	return &ca{clock: fake, limiter: limiter, builder: builder, issued: map[[32]byte]time.Time{}, paused: map[string]bool{}}, nil
}

func (c *ca) handle(r request) (answer, error) {
	at := time.UnixMicro(int64(r.At * 1e6))
	idents := identifier.Normalize(identifier.NewDNSSlice(r.Names))
	if r.Do != "known" && at.After(c.clock.Now()) {
		c.clock.Set(at)
	}
	switch r.Do {
	case "order":
		return c.order(r, idents)
	case "refund":
		_, err := c.newOrder(r.Account, idents, c.limiter.BatchRefund)
		return answer{}, err
	case "issue":
		return answer{}, c.issue(r.Account, idents)
	case "fail":
		return answer{}, c.fail(r.Account, idents)
	case "valid":
		return answer{}, c.valid(r.Account, idents)
	case "known":
		c.note(idents, at)
		return answer{}, nil
	}
	return answer{}, fmt.Errorf("unknown request %q", r.Do)
}

func (c *ca) isRenewal(idents identifier.ACMEIdentifiers) bool {
	newest, known := c.issued[set(idents)]
	return known && c.clock.Now().Sub(newest) < renewalWindow
}

type transact func(context.Context, []ratelimits.Transaction) (*ratelimits.Decision, error)

func (c *ca) newOrder(account int64, idents identifier.ACMEIdentifiers, do transact) (*ratelimits.Decision, error) {
	transactions, err := c.builder.NewOrderLimitTransactions(account, idents, c.isRenewal(idents))
	if err != nil {
		return nil, err
	}
	return do(context.Background(), transactions)
}

func (c *ca) order(r request, idents identifier.ACMEIdentifiers) (answer, error) {
	for _, ident := range idents {
		if c.paused[pauseKey(r.Account, ident)] { // Boulder gives no Retry-After
			return answer{Limited: fmt.Sprintf("Your account is temporarily prevented from requesting certificates for %s and possibly others.", ident.Value)}, nil
		}
	}
	if r.ARI {
		return answer{}, nil
	}
	decision, err := c.newOrder(r.Account, idents, c.limiter.BatchSpend)
	if err != nil {
		return answer{}, err
	}
	var refused *berrors.BoulderError
	if errors.As(decision.Result(c.clock.Now()), &refused) {
		return answer{Limited: refused.Detail, RetryAfter: refused.RetryAfter.Seconds()}, nil
	}
	return answer{}, nil
}

func (c *ca) issue(account int64, idents identifier.ACMEIdentifiers) error {
	var transactions []ratelimits.Transaction
	if !c.isRenewal(idents) {
		perDomain, err := c.builder.CertificatesPerDomainSpendOnlyTransactions(account, idents)
		if err != nil {
			return err
		}
		transactions = perDomain
	}
	perSet, err := c.builder.CertificatesPerFQDNSetSpendOnlyTransaction(idents)
	if err != nil {
		return err
	}
	_, err = c.limiter.BatchSpend(context.Background(), append(transactions, perSet))
	c.note(idents, c.clock.Now())
	return err
}

func (c *ca) fail(account int64, idents identifier.ACMEIdentifiers) error {
	for _, ident := range idents {
		failed, err := c.builder.FailedAuthorizationsPerDomainPerAccountSpendOnlyTransaction(account, ident)
		if err != nil {
			return err
		}
		if _, err = c.limiter.Spend(context.Background(), failed); err != nil {
			return err
		}
		pausing, err := c.builder.FailedAuthorizationsForPausingPerDomainPerAccountTransaction(account, ident)
		if err != nil {
			return err
		}
		decision, err := c.limiter.Spend(context.Background(), pausing)
		if err != nil {
			return err
		}
		if decision.Result(c.clock.Now()) != nil {
			c.paused[pauseKey(account, ident)] = true
		}
	}
	return nil
}

func (c *ca) valid(account int64, idents identifier.ACMEIdentifiers) error {
	for _, ident := range idents {
		reset, err := c.builder.NewPausingResetTransactions(account, ident)
		if err != nil {
			return err
		}
		if err = c.limiter.BatchReset(context.Background(), reset); err != nil {
			return err
		}
	}
	return nil
}

func (c *ca) note(idents identifier.ACMEIdentifiers, at time.Time) {
	if key := set(idents); at.After(c.issued[key]) {
		c.issued[key] = at
	}
}

func set(idents identifier.ACMEIdentifiers) [32]byte {
	return [32]byte(core.HashIdentifiers(idents))
}

func pauseKey(account int64, ident identifier.ACMEIdentifier) string {
	return fmt.Sprintf("%d %s", account, ident.Value)
}

func (c *ca) batch(line []byte) ([]byte, error) {
	var requests []request
	if err := json.Unmarshal(line, &requests); err != nil {
		return nil, err
	}
	answers := make([]answer, len(requests))
	for i, r := range requests {
		answered, err := c.handle(r)
		if err != nil {
			return nil, err
		}
		answers[i] = answered
	}
	return json.Marshal(answers)
}

func serve() error {
	limiting, err := newCA()
	if err != nil {
		return err
	}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, longestLine)
	for input.Scan() {
		text, err := limiting.batch(input.Bytes())
		if err != nil {
			return err
		}
		if _, err = os.Stdout.Write(append(text, '\n')); err != nil {
			return err
		}
	}
	return input.Err()
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
