package ask

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
)

const service = policy.Address("recall@gate.corp.example")

// mail makes what a front hands on from a raw message.
func mail(raw string, to ...policy.Address) *Mail {
	raw = strings.ReplaceAll(raw, "\n", "\r\n")
	c, _ := content.Read(strings.NewReader(raw), content.DefaultLimits(), time.Now)
	e := &policy.Envelope{
		Front: policy.Relay, Direction: policy.Outbound, Sender: "ann@corp.example", Identity: "ann@corp.example", Login: "ann",
	}
	for _, a := range to {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: a})
	}
	return &Mail{Envelope: e, Trusted: true, Header: c.Header.Values, Content: &c, Head: []byte(raw)}
}

func TestMailToTheServiceAddress(t *testing.T) {
	last := &Instruction{Kind: Recall, Last: true, Language: "en"}
	lastZH := &Instruction{Kind: Recall, Last: true, Language: "zh-CN"}
	one := &Instruction{Kind: Recall, MessageIDs: []string{"<a.1@corp.example>"}, Language: "en"}
	two := &Instruction{Kind: Recall, MessageIDs: []string{"<a.1@corp.example>", "<b@corp.example>"}, Language: "en"}
	unclear := &Instruction{Kind: Unclear, Language: "en"}
	attached := "Subject: Fwd: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nplease\n--b\n"
	inner := "Subject: x\nMessage-ID:\n <a.1@corp.example>\n\nhello\n"
	for _, c := range []struct {
		outcome, raw string
		want         *Instruction
	}{
		{"the last one, by subject", "Subject: RECALL\n\n", last},
		{"in any case", "Subject:  reCall \n\n", last},
		{"the last one, by the first line", "Subject: \n\n\n  Recall\n\nAnn\n", last},
		{"a signature below", "Subject: recall\n\n-- \nAnn, Sales\n", last},
		{"in Chinese", "Subject: =?utf-8?B?5pKk5Zue?=\n\n", lastZH},
		{"in Chinese, another word", "Subject: x\nContent-Type: text/plain; charset=utf-8\n\n召回\n", lastZH},
		{"with a Message-ID", "Subject: RECALL <a.1@corp.example>\n\n", one},
		{"without brackets", "Subject: recall a.1@corp.example\n\n", one},
		{"with the name of the field", "Subject: RECALL Message-ID: <a.1@corp.example>\n\n", one},
		{"with a colon", "Subject: Recall: <a.1@corp.example>\n\n", one},
		{"without a space", "Subject: RECALL<a.1@corp.example>\n\n", one},
		{"with a folded subject", "Subject: RECALL\n <a.1@corp.example>\n\n", one},
		{"several", "Subject: RECALL <a.1@corp.example>, <b@corp.example> <b@corp.example>\n\n", two},
		{"the subject says that, the text which", "Subject: recall\n\nrecall <a.1@corp.example>\n", one},
		{"in the text", "Subject: hello\n\nRECALL <a.1@corp.example>\n", one},
		{"in HTML", "Subject: hello\nContent-Type: text/html\n\n<p>RECALL &lt;a.1@corp.example&gt;</p>\n", one},
		{"attached", attached + "Content-Type: message/rfc822\n\n" + inner + "\n--b--\n", one},
		{"attached, and a command", strings.Replace(attached, "Fwd: x", "RECALL", 1) + "Content-Type: message/rfc822\n\n" + inner + "\n--b--\n", one},
		{"its header attached", attached + "Content-Type: text/rfc822-headers\n\n" + inner + "\n--b--\n", one},
		{"attached as a file", attached + "Content-Type: application/octet-stream; name=\"x.EML\"\nContent-Transfer-Encoding: base64\n\n" +
			base64.StdEncoding.EncodeToString([]byte(inner)) + "\n--b--\n", one},
		{"attached deeper", "Subject: x\nContent-Type: multipart/mixed; boundary=a\n\n--a\n" + strings.TrimPrefix(attached, "Subject: Fwd: x\n") +
			"Content-Type: message/rfc822\n\n" + inner + "\n--b--\n--a--\n", one},
		{"two attached", attached + "Content-Type: message/rfc822\n\n" + inner + "\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <b@corp.example>\n\nx\n--b--\n", two},
		{"the mail is the message", "Subject: RECALL\nContent-Type: message/rfc822\n\n" + inner, one},
		{"attached without a Message-ID is not the last one", strings.Replace(attached, "Fwd: x", "RECALL", 1) +
			"Content-Type: message/rfc822\n\nSubject: x\n\nhello\n--b--\n", unclear},
		{"an attached message's own attachment is not meant", attached + "Content-Type: message/rfc822\n\nMessage-ID: <a.1@corp.example>\nContent-Type: multipart/mixed; boundary=i\n\n" +
			"--i\nContent-Type: message/rfc822\n\nMessage-ID: <other@corp.example>\n\nx\n--i--\n--b--\n", one},
		{"a sentence", "Subject: recall my mail please\n\nthanks\n", unclear},
		{"a longer word", "Subject: recalled\n\n\n", unclear},
		{"a longer Chinese word", "Subject: =?utf-8?B?5pKk5Zue6YCa55+l?=\n\n", &Instruction{Kind: Unclear, Language: "zh-CN"}},
		{"an id and a word", "Subject: recall <a@b> now\n\n", unclear},
		{"no Message-ID", "Subject: recall @b\n\n", unclear},
		{"nothing", "Subject: \n\n", unclear},
		{"a broken multipart", attached + "Content-Type: message/rfc822\n", &Instruction{Kind: Unclear, Language: "en"}},
		{"an absence note", "Subject: RECALL\nAuto-Submitted: auto-replied\n\n", nil},
		{"not automatic, and says so", "Subject: RECALL\nAuto-Submitted: no\n\n", last},
		{"a newsletter", "Subject: RECALL\nPrecedence: bulk\n\n", nil},
		{"a mailing list", "Subject: RECALL\nList-Id: <x.corp.example>\n\n", nil},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := Read(mail(c.raw, service), service); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestWithoutTheRawMessageAnAttachedOneIsNotTheLastOne(t *testing.T) {
	m := mail("Subject: RECALL\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <a@b>\n\nhello\n--b--\n", service)
	m.Head = nil
	if got := Read(m, service); got.Kind != Unclear {
		t.Errorf("%+v", got)
	}
}

func TestWhoIsBelieved(t *testing.T) {
	for outcome, c := range map[string]struct {
		change func(*Mail)
		want   bool
	}{
		"signed in":                  {func(*Mail) {}, true},
		"signed in, from anywhere":   {func(m *Mail) { m.Trusted = false }, true},
		"trusted by the caller":      {func(m *Mail) { m.Envelope.Login = "" }, true},
		"anybody":                    {func(m *Mail) { m.Envelope.Login, m.Trusted = "", false }, false},
		"a machine without a sender": {func(m *Mail) { m.Envelope.Login, m.Envelope.Identity = "", "192.0.2.7" }, false},
		"the null sender":            {func(m *Mail) { m.Envelope.Sender = "" }, false},
		"mail from outside":          {func(m *Mail) { m.Envelope.Direction = policy.Inbound }, false},
		"our own notices":            {func(m *Mail) { m.Envelope.Front = policy.Internal }, false},
		"before the header was read": {func(m *Mail) { m.Header = nil }, false},
		"to others, too": {func(m *Mail) {
			m.Envelope.Recipients = append(m.Envelope.Recipients, policy.Recipient{Address: "bob@x.example"})
		}, false},
		"to the address in capitals":    {func(m *Mail) { m.Envelope.Recipients[0].Address = "Recall@GATE.corp.example" }, true},
		"to nobody yet":                 {func(m *Mail) { m.Envelope.Recipients = nil }, false},
		"to somebody else":              {func(m *Mail) { m.Envelope.Recipients[0].Address = "bob@x.example" }, false},
		"the last one, without content": {func(m *Mail) { m.Content, m.Head = nil, nil }, true},
	} {
		t.Run(outcome, func(t *testing.T) {
			m := mail("From: boss@corp.example\nSubject: RECALL\n\n", service)
			c.change(m)
			if got := Read(m, service); (got != nil) != c.want || got != nil && !got.Last {
				t.Errorf("%+v", got)
			}
		})
	}
	if got := Read(mail("Subject: RECALL\n\n", ""), ""); got != nil {
		t.Errorf("without a service address: %+v", got)
	}
}

// winmail is the beginning of the winmail.dat of a request as Outlook 2002 wrote it, with a class in its place.
func winmail(class string) string {
	b := []byte("\x78\x9f\x3e\x22\x3a\x08\x01\x06\x90\x08\x00\x04\x00\x00\x00\x00\x00\x01\x00\x01\x00\x01\x07\x90\x06\x00\x08\x00\x00\x00\xe4\x04\x00\x00\x00\x00\x00\x00\xe8\x00")
	b = append(b, tnefClass...)
	b = append(b, byte(len(class)+1), 0, 0, 0)
	b = append(append(b, class...), 0)
	return base64.StdEncoding.EncodeToString(append(b, make([]byte, 300)...))
}

const index = "AQHasB1YwswUtbqpFk2NoxnxfHhDhA==" // of 27 May 2024

func TestOutlook(t *testing.T) {
	thread := Thread(index)
	tnef := func(subject, class string) string {
		return "Subject: " + subject + "\nContent-Type: multipart/mixed; boundary=\"----=_b\"\n\n------=_b\n\nx would like to recall the message\n------=_b\n" +
			"Content-Type: application/ms-tnef; name=\"winmail.dat\"\nContent-Transfer-Encoding: base64\n\n" + winmail(class) + "\n------=_b--\n"
	}
	for _, c := range []struct {
		outcome, raw string
		want         *Instruction
	}{
		{"Exchange", "Subject: Recall: Figures\nThread-Topic: Figures\nThread-Index: " + index + "\nX-CallingTelephoneNumber: IPM.Note\nX-VoiceMessageDuration: 1\n\nx\n",
			&Instruction{Kind: Outlook, Subject: "Figures", Thread: thread, Certain: true, Language: "en"}},
		{"Exchange, in Chinese", "Subject: =?gb2312?B?s7e72DogW1BBVENIXQ==?=\nThread-Index: " + index + "\nX-CallingTelephoneNumber: IPM.Note\n\nx\n",
			&Instruction{Kind: Outlook, Subject: "[PATCH]", Thread: thread, Certain: true, Language: "zh-CN"}},
		{"in Chinese of Taiwan", "Subject: =?big5?B?pl6mrDogW1BBVENIXQ==?=\nThread-Index: " + index + "\n\nx\n",
			&Instruction{Kind: Outlook, Subject: "[PATCH]", Thread: thread, Language: "zh-CN"}},
		{"Exchange Online", "Subject: Recall: RE: Figures\nX-MS-TrafficTypeDiagnostic: SL2P216MB2532:EE_MessageRecallEmail\n\nx\n",
			&Instruction{Kind: Outlook, Subject: "RE: Figures", Certain: true, Language: "en"}},
		{"Exchange Online, for the old Outlook", "Subject: Recall: Figures\nx-ms-traffictypediagnostic:\n A:EE_|B:EE_LegacyOutlookRecall\n\nx\n",
			&Instruction{Kind: Outlook, Subject: "Figures", Certain: true, Language: "en"}},
		{"a language that is not known here", "Subject: =?utf-8?Q?Zpětné_volání?=: Figures\nContent-Class: urn:content-classes:recallmessage\n\nx\n",
			&Instruction{Kind: Outlook, Subject: "Figures", Certain: true, Language: "en"}},
		{"class as a field", "Subject: Recall: Figures\nContent-Class: IPM.Outlook.Recall\n\nx\n",
			&Instruction{Kind: Outlook, Subject: "Figures", Certain: true, Language: "en"}},
		{"Outlook without Exchange", tnef("Recall: Figures", recallClass), &Instruction{Kind: Outlook, Subject: "Figures", Certain: true, Language: "en"}},
		{"a report about a request", tnef("Recall Success: Figures", "IPM.Recall.Report.Success"), nil},
		{"another class", tnef("Recall: Figures", "IPM.Note"), nil},
		{"a longer class", tnef("Recall: Figures", recallClass+"X"), nil},
		{"German, by its conversation", "Subject: =?utf-8?Q?R=C3=BCckruf=3A_Zahlen?=\nThread-Index: " + index + "\n\nx\n",
			&Instruction{Kind: Outlook, Subject: "Zahlen", Thread: thread, Language: "en"}},
		{"French, with its space", "Subject: Rappel : Chiffres\nThread-Index: " + index + "\n\nx\n",
			&Instruction{Kind: Outlook, Subject: "Chiffres", Thread: thread, Language: "en"}},
		{"ordinary mail", "Subject: Recall: brake pads of 2019\n\nDear customers\n", nil},
		{"ordinary mail with a broken Thread-Index", "Subject: Recall: brake pads\nThread-Index: AQHasB1Y\n\nx\n", nil},
		{"a word that is not known, by its conversation", "Subject: Offer: pads\nThread-Index: " + index + "\n\nx\n", nil},
		{"a voice message", "Subject: Voice mail from +49 1\nX-CallingTelephoneNumber: +49 1\n\nx\n", nil},
		{"no subject", "X-CallingTelephoneNumber: IPM.Note\n\nx\n", nil},
		{"a mailing list sends it on", "Subject: Recall: Figures\nX-CallingTelephoneNumber: IPM.Note\nList-Id: <x>\n\nx\n", nil},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := Read(mail(c.raw, "bob@remote.example"), service); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestThreads(t *testing.T) {
	original := Thread(index)
	other := slices.Clone(original)
	other[21]++
	later := slices.Clone(original)
	later[3]++ // another time, the same GUID
	answer := append(slices.Clone(original), 1, 2, 3, 4, 5)
	second := append(slices.Clone(answer), 6, 7, 8, 9, 0)
	for _, c := range []struct {
		outcome           string
		request, original []byte
		same, direct      bool
	}{
		{"equal", original, original, true, true},
		{"a child", answer, original, true, true},
		{"a grandchild", second, original, true, false},
		{"a child of an answer", second, answer, true, true},
		{"the parent", original, answer, true, false},
		{"another time", later, original, true, false},
		{"another conversation", other, original, false, false},
		{"none", nil, original, false, false},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if same, direct := SameThread(c.request, c.original); same != c.same || direct != c.direct {
				t.Errorf("%v, %v", same, direct)
			}
		})
	}
	for outcome, s := range map[string]string{
		"empty": "", "no base64": "%%%", "too short": "AQHasB1Y", "a broken answer": base64.StdEncoding.EncodeToString(append(original, 1)),
		"another version": base64.StdEncoding.EncodeToString(append([]byte{2}, original[1:]...)), "endless": strings.Repeat("AQHa", 300),
	} {
		if got := Thread(s); got != nil {
			t.Errorf("%s: %x", outcome, got)
		}
	}
	if Thread("AQHasB1Ywsw\r\n UtbqpFk2NoxnxfHhDhA==") == nil {
		t.Error("folded")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("Subject: RECALL <a@b>\n\nx\n", true)
	f.Add("Subject: Recall: x\nThread-Index: "+index+"\nX-CallingTelephoneNumber: IPM.Note\n\nx\n", false)
	f.Add("Subject: Recall: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/ms-tnef\nContent-Transfer-Encoding: base64\n\n"+winmail(recallClass)+"\n--b--\n", false)
	f.Add("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <a@b>\n\nx\n--b--\n", true)
	f.Fuzz(func(t *testing.T, raw string, toService bool) {
		to := policy.Address("bob@remote.example")
		if toService {
			to = service
		}
		m := mail(raw, to)
		m.Head = []byte(raw)
		in := Read(m, service)
		if in == nil {
			return
		}
		if len(in.MessageIDs) > maxIDs || in.Last && len(in.MessageIDs) > 0 {
			t.Errorf("%+v", in)
		}
		for _, id := range in.MessageIDs {
			if _, ok := messageID(id); !ok || strings.ContainsAny(id, "\r\n ") {
				t.Errorf("Message-ID %q", id)
			}
		}
		if toService == (in.Kind == Outlook) || in.Kind == Outlook && !in.Certain && in.Thread == nil {
			t.Errorf("%+v", in)
		}
	})
}
