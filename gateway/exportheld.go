package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// exportSummary and exportScript are the files of an export beside those of the messages.
const (
	exportSummary = "SUMMARY.txt"
	exportScript  = "send.sh"
)

// An ExportReport says what an export of mail that has not left has written, and what not.
type ExportReport struct {
	Faults    []string // what of the store is damaged or missing
	Written   int      // messages with all of their octets
	AtPostfix []string // queue ids of what Postfix holds
	Broken    []string // ids of messages whose octets or sender are lost
	Offered   int      // that were being handed through and are their clients'
}

// Whole reports whether nothing is known to be missing.
func (r *ExportReport) Whole() bool { return len(r.Faults)+len(r.Broken) == 0 }

// An exportedEnvelope is what the .json file of a message says.
type exportedEnvelope struct {
	ID         string              `json:"id"`
	Front      policy.Front        `json:"front,omitempty"`
	Sender     *string             `json:"sender"` // null when it is lost; "" is the null sender
	Recipients []exportedRecipient `json:"recipients"`
	// MayBeDuplicate is true when the message may have been sent already.
	MayBeDuplicate bool         `json:"may_be_duplicate"`
	State          policy.State `json:"state"`
	Received       time.Time    `json:"received,omitzero"`
	Identity       string       `json:"identity,omitempty"`
	Login          string       `json:"login,omitempty"`
	Client         string       `json:"client,omitempty"`
	MessageID      string       `json:"message_id,omitempty"`
	QueueID        string       `json:"queue_id,omitempty"` // of Postfix
	Octets         int64        `json:"octets,omitempty"`
	// ESMTP parameters of MAIL.
	Body       string `json:"body,omitempty"`
	SMTPUTF8   bool   `json:"smtputf8,omitempty"`
	RequireTLS bool   `json:"requiretls,omitempty"`
	Ret        string `json:"ret,omitempty"`
	EnvID      string `json:"envid,omitempty"`
	Upstream   string `json:"upstream,omitempty"` // that a rule has chosen
	Lost       string `json:"lost,omitempty"`     // what of the message could not be read
}

// An exportedRecipient is one whom the message has not reached.
type exportedRecipient struct {
	Address  string       `json:"address"`
	Original string       `json:"orcpt,omitempty"` // with its type
	Notify   []string     `json:"notify,omitempty"`
	State    policy.State `json:"state"`
	Due      time.Time    `json:"due,omitzero"`
	Reply    string       `json:"reply,omitempty"` // to the last attempt
}

// ExportHeld writes every message that is still in our hands into a new directory, from a store that may be damaged,
// to which it writes nothing: ID.eml, octet for octet what would be sent, ID.json with the envelope, a script that
// sends them, and a summary.
func ExportHeld(cfg store.Config, dir string) (report ExportReport, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return report, fmt.Errorf("export: %w", err)
	}
	if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
		return report, errors.Join(fmt.Errorf("export: %s is not empty: name a new directory", dir), err)
	}
	x := export{dir: dir}
	found, err := store.Salvage(cfg, x.message)
	x.report.Faults, x.report.Offered = found.Faults, found.Offered
	if err != nil {
		return x.report, fmt.Errorf("export: %w", err)
	}
	err = errors.Join(x.write(exportScript, x.scriptText()), x.write(exportSummary, x.report.Text(dir)))
	return x.report, err
}

// An export is on its way into a directory.
type export struct {
	dir    string
	report ExportReport
	script strings.Builder
}

// message writes one message.
func (x *export) message(m *store.Salvaged) error {
	id := m.Message.ID.String()
	e := envelopeOf(m)
	whole := false
	if m.HasBody() {
		var err error
		whole, err = x.octets(m, id+".eml")
		if err != nil {
			return err
		}
		if !whole {
			e.Lost = strings.TrimPrefix(e.Lost+"; a part of its octets", "; ")
		}
	}
	var text strings.Builder
	lines := json.NewEncoder(&text)
	lines.SetIndent("", "  ")
	lines.SetEscapeHTML(false) // people read it
	if err := lines.Encode(e); err != nil {
		return err
	}
	if err := x.write(id+".json", text.String()); err != nil {
		return err
	}
	switch {
	case !m.HasBody() && e.Front == policy.Milter:
		x.report.AtPostfix = append(x.report.AtPostfix, e.QueueID)
	case !whole || e.Sender == nil || len(e.Recipients) == 0:
		x.report.Broken = append(x.report.Broken, id)
	default:
		x.report.Written++
		x.script.WriteString(sendLine(e))
	}
	return nil
}

// octets writes the message; it is not whole when some of it is lost.
func (x *export) octets(m *store.Salvaged, name string) (whole bool, err error) {
	f, err := os.OpenFile(filepath.Join(x.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	err = m.WriteBody(f)
	if whole = err == nil; errors.Is(err, store.ErrDamaged) {
		err = nil
	}
	return whole, errors.Join(err, f.Sync(), f.Close())
}

func (x *export) write(name, text string) error {
	f, err := os.OpenFile(filepath.Join(x.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func envelopeOf(m *store.Salvaged) *exportedEnvelope {
	v := &m.Message.Envelope
	e := &exportedEnvelope{
		ID: m.Message.ID.String(), Front: v.Front, MayBeDuplicate: m.MayBeDuplicate, Received: v.Received, Identity: v.Identity, Login: v.Login,
		MessageID: v.MessageID, QueueID: v.QueueID, Octets: m.Message.BodySize, Body: v.Body, SMTPUTF8: v.UTF8, RequireTLS: v.RequireTLS,
		Ret: v.Ret, EnvID: v.EnvID, Upstream: v.Route, Recipients: []exportedRecipient{},
	}
	if v.Client.IsValid() {
		e.Client = v.Client.String()
	}
	if m.Lost {
		e.Lost = "its sender"
	} else {
		sender := string(v.Sender) // the null sender is empty here
		e.Sender = &sender
	}
	if m.Missing > 0 {
		e.Lost = strings.TrimPrefix(fmt.Sprintf("%s; %d recipients", e.Lost, m.Missing), "; ")
	}
	states := map[policy.State]int{}
	for i := range m.Waiting {
		r := &m.Waiting[i]
		states[r.State]++
		one := exportedRecipient{Address: r.Address.String(), Notify: r.Notify, State: r.State, Due: r.Due, Reply: r.Reply}
		if r.Original != "" {
			one.Original = r.OriginalType + ";" + r.Original
		}
		e.Recipients = append(e.Recipients, one)
	}
	e.State, _ = policy.Aggregate(states)
	return e
}

// sendLine is how a message is handed to a Postfix on this machine. What waits for approval is not to go without a
// person's word.
func sendLine(e *exportedEnvelope) string {
	var b strings.Builder
	if e.MayBeDuplicate {
		fmt.Fprintf(&b, "# %s may have been sent already: look into the log of the mail server.\n", e.ID)
	}
	if e.State == policy.StateApprovalPending {
		fmt.Fprintf(&b, "# %s waits for approval: take away the # when it is to go.\n# ", e.ID)
	}
	b.WriteString("send " + e.ID + " -f " + quoted(*e.Sender) + " --")
	for _, r := range e.Recipients {
		b.WriteString(" " + quoted(r.Address))
	}
	b.WriteString("\n")
	return b.String()
}

// quoted makes a text one word of a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (x *export) scriptText() string {
	return `#!/bin/sh
# Hands the mail of this directory to the Postfix of this machine. Read it first. Requests for delivery status
# notifications are not among what sendmail(1) takes: they stand in the .json files.
# It may be run again: what Postfix has taken becomes ID.sent, and is not sent twice.
set -eu
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin"

send() {
	id=$1
	shift
	if [ ! -e "$id.eml" ]; then
		echo "$id was sent before"
		return
	fi
	sendmail -G -i "$@" < "$id.eml"
	mv "$id.eml" "$id.sent"
	echo "$id is with Postfix"
}

` + x.script.String()
}

// Text is the report for people.
func (r *ExportReport) Text(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "messages in %[2]s: %[1]d, each as ID.eml with its envelope in ID.json\n", r.Written, dir)
	if r.Written > 0 {
		fmt.Fprintf(&b, "to send them through the Postfix of this machine, read %s and then: sh %s\n", filepath.Join(dir, exportScript), filepath.Join(dir, exportScript))
		b.WriteString("or one by one: swaks --server HOST --from SENDER --to RECIPIENTS --data @ID.eml\n")
	}
	if n := len(r.AtPostfix); n > 0 {
		fmt.Fprintf(&b, "in Postfix's own hold queue, not here: %d; contrib/postfix/free-held lets them go. Queue ids: %s\n", n, strings.Join(r.AtPostfix, " "))
	}
	for _, id := range r.Broken {
		fmt.Fprintf(&b, "not whole: %s, see %s.json\n", id, id)
	}
	if r.Offered > 0 {
		fmt.Fprintf(&b, "being handed through, with their clients still: %d\n", r.Offered)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "damaged: %s\n", f)
	}
	if len(r.Faults) > 0 {
		b.WriteString("What is damaged may have been about other mail, too, or may have said that mail was sent: everything is marked may_be_duplicate\n")
	}
	return b.String()
}
