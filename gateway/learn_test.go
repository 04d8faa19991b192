package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestWhomOldLogsTeach(t *testing.T) {
	directory, err := policy.NewDirectory([]policy.Identity{{Login: "ann", Addresses: []string{"ann@corp.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	var learned []string
	l := &learner{
		directory: directory, open: map[string]*logged{},
		internal: func(a policy.Address) bool { return a.Domain() == "corp.example" },
		learn: func(identity string, a policy.Address, at time.Time) {
			learned = append(learned, identity+" "+string(a)+" "+at.UTC().Format(time.DateOnly))
		},
	}
	log := `2026-11-20T10:00:00+00:00 mx postfix/smtpd[1]: 4F1A00AB: client=pc[192.0.2.1], sasl_method=PLAIN, sasl_username=Ann
2026-11-20T10:00:00+00:00 mx postfix/qmgr[1]: 4F1A00AB: from=<ann@corp.example>, size=1, nrcpt=3 (queue active)
2026-11-20T10:00:01+00:00 mx postfix/smtp[1]: 4F1A00AB: to=<bob@remote.example>, relay=r[203.0.113.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)
2026-11-20T10:00:01+00:00 mx postfix/smtp[1]: 4F1A00AB: to=<eve@corp.example>, relay=r[203.0.113.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)
2026-11-20T10:00:01+00:00 mx postfix/smtp[1]: 4F1A00AB: to=<gone@remote.example>, relay=r[203.0.113.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (550 no)
2026-11-20T10:00:02+00:00 mx postfix/qmgr[1]: 4F1A00AB: removed
2026-11-20T10:00:03+00:00 mx postfix/smtp[1]: 4F1A00AB: to=<late@remote.example>, relay=r[203.0.113.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)
2026-11-20T10:01:00+00:00 mx postfix/smtpd[1]: 4F1B00AB: client=stranger[203.0.113.9]
2026-11-20T10:01:00+00:00 mx postfix/qmgr[1]: 4F1B00AB: from=<spam@remote.example>, size=1, nrcpt=1 (queue active)
2026-11-20T10:01:01+00:00 mx postfix/smtp[1]: 4F1B00AB: to=<x@other.example>, relay=r[203.0.113.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)
nonsense
2026-11-20T10:02:00+00:00 mx postfix/pickup[1]: 4F1C00AB: uid=0 from=<cron@corp.example>
2026-11-20T10:02:00+00:00 mx postfix/qmgr[1]: 4F1C00AB: from=<cron@corp.example>, size=1, nrcpt=1 (queue active)
2026-11-20T10:02:01+00:00 mx postfix/smtp[1]: 4F1C00AB: to=<real@other.example>, orig_to=<alias@other.example>, relay=r[203.0.113.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)
`
	if err := l.read(t.Context(), "mail.log", strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	want := []string{"ann bob@remote.example 2026-11-20", "cron@corp.example alias@other.example 2026-11-20"}
	if !slices.Equal(learned, want) {
		t.Errorf("got %q", learned)
	}
}
