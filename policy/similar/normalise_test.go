package similar

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ outcome, in, want string }{
		{"capitals are lowered", "HeLLo", "hello"},
		{"line ends are one sign", "a\r\nb\rc\u2028d\x85", "a\nb\nc\nd"},
		{"blanks are spaces", "a\tb\u00a0c\u3000d\u2003e", "a b c d e"},
		{"invisible characters go", "f\u200br\u00ade\u2060e\ufeff\u202e", "free"},
		{"tags and variation selectors go", "a\U000e0061b\ufe0fc\u034f", "abc"},
		{"marks go", "résumé naïve Ångström", "resume naive angstrom"},
		{"Cyrillic twins are Latin", "раураl", "paypal"},
		{"Greek twins are Latin", "ΑΒΗο", "abho"},
		{"Armenian, Cherokee and small capitals", "օᎪʀ", "oar"},
		{"full width is ASCII", "ＦＲＥＥ：１２３！", "free:123!"},
		{"mathematical letters", "𝐅𝐫𝐞𝐞", "free"},
		{"ligatures are taken apart", "ﬁne", "fine"},
		{"Kangxi radicals are ideographs", "⼈⼤", "人大"},
		{"compatibility ideographs", "\uf967\uf981", "不女"},
		{"ideographs stay", "您好，世界", "您好,世界"},
		{"Hangul stays composed", "한국어", "한국어"},
		{"curly apostrophes are straight", "don’t", "don't"},
		{"broken octets go", "a\xffb", "ab"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := string(fold(nil, c.in)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	for _, c := range []struct {
		outcome, in, want string
		names             []string
	}{
		{"words", "We're here, aren't we?", "were here arent we", nil},
		{"numbers are masked together", "costs 1,234.56 or 99 now", "costs # or # now", nil},
		{"ids are masked", "order AB12-99X from us", "order # from us", nil},
		{"dates of all forms are one mask", "on Monday, 3 May 2026 at 10:30 am we", "on # at # we", nil},
		{"ordinals are masked", "the 3rd time", "the # time", nil},
		{"long words are masked", "see " + strings.Repeat("x", 25) + " there", "see # there", nil},
		{"links lose their host", "see https://a.example/x?y=1 and www.b.example/z or shop.example/q.", "see <link> and <link> or <link>", nil},
		{"addresses with other letters", "mail zoø@corp.example, жук@corp.example now", "mail <mail> now", nil},
		{"half a URL is one", "www. and mailto: and word. or word:", "<link> and <link> and word or word", nil},
		{"a digit behind letters masks them", "abc1 abc1, abc", "# abc", nil},
		{"addresses", "mail joe.bloggs@corp.example now", "mail <mail> now", nil},
		{"spelled words are joined", "f.r.e.e m-o-n-e-y c*a*s*h", "free money cash", nil},
		{"letters with blanks are joined", "get f r e e stuff", "get free stuff", nil},
		{"two letters are not a word", "plan a b here", "plan a b here", nil},
		{"a name is masked", "we told John about it", "we told <name> about it", []string{"John Doe <j@x.example>"}},
		{"the local part of an address is a name", "we told bloggs about it", "we told <name> about it", []string{"joe.bloggs@corp.example"}},
		{"ideographs are single", "发票到了", "发 票 到 了", nil},
		{"separators between ideographs are nothing", "发*票.到-了", "发 票 到 了", nil},
		{"Chinese dates", "会议在2026年5月3日下午3点30分举行", "会 议 在 # 举 行", nil},
		{"written Chinese dates", "二〇二六年十二月开始", "# 开 始", nil},
		{"Chinese weekdays", "定于星期三或周五见", "定 于 # 或 # 见", nil},
		{"a numeral without a date stays", "一起三人", "一 起 三 人", nil},
		{"a Chinese name is masked", "请张伟确认", "请 <name> 确 认", []string{"张伟"}},
		{"a single ideograph is no name", "请张确认", "请 张 确 认", []string{"张"}},
		{"both scripts", "使用 Excel 打开", "使 用 excel 打 开", nil},
		{"Korean", "안녕", "안 녕", nil},
		{"Russian words stay different", "длинный текст", "длиhhыи tekct", nil},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			got := strings.Join(Tokens(c.in, Hints{Names: c.names}), " ")
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestStrip(t *testing.T) {
	const disclaimer = "This email is confidential and intended solely for the addressee. If received in error, delete it."
	for _, c := range []struct {
		outcome string
		reply   bool
		in      string
		want    string
	}{
		{"plain text stays", false, "one\n\ntwo", "one two"},
		{"a quotation in a reply goes", true, "new\n> old\n>> older", "new"},
		{"a quotation in no reply stays", false, "new\n> old", "new old"},
		{"the attribution goes with it", true, "On Monday, Joe\nBloggs wrote:\n> old\nnew", "new"},
		{"an attribution without marks takes itself only", true, "On 3 May 2026 Joe wrote:\n\nnew", "new"},
		{"also below other text", true, "new\n\nJoe wrote:\n\nmore", "new more"},
		{"a bar is a quotation mark", true, "| old\nnew", "new"},
		{"initials are a quotation mark", true, "JB> old\nnew", "new"},
		{"boards quote with a colon", true, "new\n【 在 joe 的大作中提到: 】\n: old", "new"},
		{"Outlook's original message", true, "new\n-----Original Message-----\nFrom: a\nold", "new"},
		{"a row of dashes above an attribution", true, "new\n-----------\nOn Monday Joe wrote:\n> old\n\nolder answer", "new"},
		{"a row of dashes in the text stays", true, "one\n-----------\ntwo", "one two"},
		{"Chinese original message", true, "新的\n------------------ 原始邮件 ------------------\n旧的", "新 的"},
		{"a block of header fields", true, "new\n\nFrom: a\nSent: b\nTo: c\nSubject: d\n\nold", "new"},
		{"a Chinese block of header fields", true, "新的\n\n发件人：张\n发送时间：今天\n收件人：李\n主题：旧\n\n旧的", "新 的"},
		{"one field is no block", true, "new\nTo: everybody\nmore", "new to everybody more"},
		{"a signature below a rule goes", false, "text here\n-- \nJoe\nSales", "text here"},
		{"a signature of two paragraphs at the end", false, "text here\n--\nJoe -- sales\n\nA saying of somebody famous that is long.", "text here"},
		{"text after a moved signature stays", false, "--\nJoe\n\n" + strings.Repeat("more text in a line\n\n", 10), strings.TrimSpace(strings.Repeat("more text in a line ", 10))},
		{"a closing formula goes with its short lines", false, "text here\n\nBest regards,\nJoe Bloggs\nSales", "text here"},
		{"a long line after a closing formula stays", false, "Thanks,\nthis is a longer line which is certainly a sentence and no signature at all.", "this is a longer line which is certainly a sentence and no signature at all"},
		{"Chinese closing in two lines", false, "正文\n\n此致\n敬礼\n\n张伟\n销售部经理", "正 文"},
		{"a disclaimer goes", false, "text here\n\n" + disclaimer, "text here"},
		{"a Chinese disclaimer goes", false, "正文\n\n本邮件包含保密信息，仅供指定收件人使用，如误收请立即删除。", "正 文"},
		{"a sentence with one such word stays", false, "this is confidential between us", "this is confidential between us"},
		{"a list footer goes", false, "text here\n\nTo unsubscribe click here", "text here"},
		{"a Chinese list footer goes", false, "正文\n\n如需退订请点击此处", "正 文"},
		{"a list's advertisement goes", false, "text here\n\nThis list is sponsored by somebody\nsee them", "text here"},
		{"a phone's line goes", false, "text here\n\nSent from my iPhone", "text here"},
		{"a Chinese phone's line goes", false, "正文\n\n发自我的华为手机", "正 文"},
		{"a meeting block goes", false, "text here\n\nJoin Zoom Meeting\nsome link\nMeeting ID: 123\nPasscode: 9", "text here"},
		{"a Chinese meeting block goes", false, "正文\n\n腾讯会议\n时间不定\n会议号：123", "正 文"},
		{"a greeting line goes", false, "Dear Joe Bloggs,\n\ntext here", "text here"},
		{"a greeting in the text's line goes", false, "Hi Joe, text here that is long enough to be more than forty octets", "text here that is long enough to be more than forty octets"},
		{"a Chinese greeting goes", false, "尊敬的张先生：\n\n您好！\n正文", "正 文"},
		{"a greeting further down stays", false, "a\nb\nc\nhello everybody", "a b c hello everybody"},
		{"PGP armour goes", false, "-----BEGIN PGP SIGNED MESSAGE-----\ntext here\n-----BEGIN PGP SIGNATURE-----\nabc\n-----END PGP SIGNATURE-----\nmore", "text here more"},
		{"a disguised signature goes too", false, "text here\n\nВest rеgаrds,\nJoe", "text here"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := strings.Join(Tokens(c.in, Hints{Reply: c.reply}), " "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestReplyIsKnownByItsSubject(t *testing.T) {
	for subject, want := range map[string]bool{
		"Re: x": true, "RE：x": true, "回复：x": true, "答复: x": true, "Fwd: x": true, "[list] Re: x": false, "Regarding x": false, "": false, "Ｒｅ: x": true,
	} {
		h := Hints{Subject: subject}
		if got := h.reply(); got != want {
			t.Errorf("%q: %v", subject, got)
		}
	}
}

// Whatever the octets, the tokens are valid text, bounded, the same for the folded text, and stripping
// only takes away.
func FuzzNormalise(f *testing.F) {
	for _, s := range []string{
		"Dear Joe,\n\ntext\n> q\nOn x wrote:\n> y\n-- \nsig", "您好！\n二〇二六年\n此致\n敬礼", "f.r.e.e a@b.c http://x\xff\u200b", "-----BEGIN PGP SIGNATURE-----",
		"From: a\nTo: b\nSubject: c\n", "\n\n\n>", ":", "a'b'", "周", "hi,",
	} {
		f.Add(s, true, "Joe")
	}
	x := newIndex(f)
	f.Fuzz(func(t *testing.T, text string, reply bool, name string) {
		h := Hints{Reply: reply, Names: []string{name}, Subject: name}
		for _, token := range Tokens(text, h) {
			if token == "" || !utf8.ValidString(token) || strings.ContainsAny(token, " \n\u200b") {
				t.Fatalf("token %q", token)
			}
		}
		sig := x.Signature(text, h)
		if sig.units > sig.fullUnits {
			t.Fatalf("%d units of %d", sig.units, sig.fullUnits)
		}
		again := x.Signature(text, h)
		if s := Compare(&sig, &again); sig.units >= exactUnits && s.Kind != Exact {
			t.Fatalf("not like itself: %v", s)
		}
		var back Signature
		b, _ := sig.MarshalBinary()
		if err := back.UnmarshalBinary(b); err != nil || back.exact != sig.exact || back.text != sig.text {
			t.Fatalf("signature changed on its way: %v", err)
		}
	})
}

// Every phrase is found where it stands, whatever stands around it; each kind apart.
func TestEveryPhraseIsFound(t *testing.T) {
	for c, list := range phrases {
		for i, p := range list {
			if len(p) < 4 {
				t.Fatalf("%q is too short to be looked for", p)
			}
			for _, line := range []string{p, "x" + p, "x " + p + "y", "好" + p + "好"} {
				if seen := cueFinder.scan([]byte(line)); seen[c]&(1<<(i%64)) == 0 {
					t.Errorf("%q is not found in %q", p, line)
				}
			}
		}
	}
	if seen := cueFinder.scan([]byte("confidentia intended recipien unsubscrib wrote 保 本邮")); seen != [cues]uint64{} {
		t.Errorf("parts of phrases are found: %v", seen)
	}
}

// The lengths by which most words are passed over fit the lists.
func TestBoundsOfWordLists(t *testing.T) {
	for w := range closings {
		if len(w) > maxClosing || !closing([]byte(w)) || !closing([]byte(w+"。, !")) {
			t.Errorf("%q is no closing formula", w)
		}
	}
	for w := range calendar {
		if !inCalendar([]byte(w)) {
			t.Errorf("%q is no word of a date", w)
		}
	}
	for _, w := range []string{"", "ma", "mab", "mayor", "january1", "wednesdays"} {
		if inCalendar([]byte(w)) {
			t.Errorf("%q is a word of a date", w)
		}
	}
}

// A reader's buffers of one text leave no trace in the signature of the next.
func TestReaderIsUsedAgain(t *testing.T) {
	texts := []string{
		"Dear Joe,\n\nthe invoice of May for 300 euros is attached, see https://a.example/x\n\nBest regards,\nAnn", "short", "",
		strings.Repeat("many different words in a long text of nobody ", 40), "发票到了请张伟确认二〇二六年", "f.r.e.e s-a-l-e f r e e",
	}
	hints := []Hints{{Names: []string{"Joe Bloggs", "张伟"}}, {Reply: true}, {}}
	r := newReader(newHasher(testSeed))
	for range 2 {
		for _, text := range texts {
			for i := range hints {
				got, fresh := r.sign(text, &hints[i], nil), newReader(newHasher(testSeed)).sign(text, &hints[i], nil)
				a, _ := got.MarshalBinary()
				b, _ := fresh.MarshalBinary()
				if !bytes.Equal(a, b) || !slices.Equal(got.shingles, fresh.shingles) {
					t.Errorf("%q with %+v differs", text, hints[i])
				}
			}
		}
	}
}
