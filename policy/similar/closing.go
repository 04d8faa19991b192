package similar

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// closings begin the line above a signature.
var closings = wordSet("regards", "best regards", "kind regards", "kindest regards", "warm regards", "with regards",
	"with best regards", "with kind regards", "best", "all the best", "best wishes", "sincerely", "sincerely yours",
	"yours sincerely", "yours truly", "yours faithfully", "very truly yours", "respectfully", "cordially", "cheers", "thanks",
	"thank you", "many thanks", "thanks and regards", "thanks & regards", "thanks again", "thx", "br", "rgds", "take care",
	"thanks in advance", "thank you very much", "yours", "mfg", "cordialement", "saludos",
	"此致", "敬礼", "此致敬礼", "顺颂商祺", "顺祝商祺", "商祺", "祝好", "谢谢", "谢谢!", "多谢", "致礼", "敬上", "敬启", "顺颂时祺", "祝商祺",
	"此致 敬礼", "祝工作顺利", "祝您工作愉快", "祝工作愉快", "祝您生活愉快", "祝身体健康", "顺祝安康", "即颂近安", "专此", "以上", "祝顺利", "祝:好",
	"祝您商祺", "敬祝商祺", "敬颂商祺", "此致,敬礼", "诚挚的问候", "致以问候", "致敬", "感谢")

func wordSet(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}

// closing reports a closing formula alone on its line.
func closing(t []byte) bool {
	if len(t) > 48 {
		return false
	}
	t = trimEnd(t)
	return len(t) <= maxClosing && closings[string(t)]
}

// maxClosing is the length of the longest formula, "thank you very much".
const maxClosing = 19

// trimEnd takes the signs off the end of a formula.
func trimEnd(t []byte) []byte {
	for len(t) > 0 {
		switch c := t[len(t)-1]; {
		case strings.IndexByte(" ,.!;:~", c) >= 0:
			t = t[:len(t)-1]
		case c >= utf8.RuneSelf && len(t) >= 3 && strings.Contains("。，！、", string(t[len(t)-3:])):
			t = t[:len(t)-3]
		default:
			return t
		}
	}
	return t
}

// rule reports "-- " (RFC 3676 4.3; the blank is often lost) or a row of signs.
func rule(t []byte) bool {
	if len(t) < 2 {
		return false
	}
	for _, c := range t {
		if c != t[0] {
			return false
		}
	}
	return t[0] == '-' && len(t) <= 3 || t[0] == '_' && len(t) >= 5
}

// stripSignatures drops closing formulas and rules with what stands below them.
func stripSignatures(lines []line) {
	for i := range lines {
		switch t := lines[i].text; {
		case closing(t): // also below another: 此致, 敬礼
			lines[i].drop = true
			stripBelow(lines[i+1:], short)
		case rule(t) && !lines[i].drop:
			lines[i].drop = true
			if !stripToEnd(lines[i+1:]) {
				stripBelow(lines[i+1:], notLong)
			}
		}
	}
}

// maxBelow is how many lines a signature has.
const maxBelow = 8

// stripToEnd drops all that is below a rule when that is no more than a signature, blank lines and
// what was already dropped aside.
func stripToEnd(lines []line) bool {
	n := 0
	for i := range lines {
		if l := &lines[i]; l.blank() || l.drop {
			continue
		}
		if n++; n > maxBelow || !notLong(lines[i].text) {
			return false
		}
	}
	dropAll(lines)
	return true
}

// stripBelow drops lines that fit, until a blank one; one may stand above them.
func stripBelow(lines []line, fits func([]byte) bool) {
	n := 0
	for i := range lines {
		l := &lines[i]
		switch {
		case l.blank():
			if n > 0 || i > 0 {
				return
			}
		case n == maxBelow || !fits(l.text):
			return
		default:
			n++
			l.drop = true
		}
	}
}

// notLong reports a line as one writes them below "-- ".
func notLong(t []byte) bool { return len(t) <= longLine }

// short reports a line as signatures have them: few words and no sentence.
func short(t []byte) bool {
	if len(t) > 72 {
		return false
	}
	words := len(bytes.Fields(t))
	last := t[len(t)-1]
	sentence := last == '.' && words > 3 || last == '?' || bytes.HasSuffix(t, []byte("。"))
	return words <= 10 && !sentence
}

// greetings begin a letter.
var greetings = []string{
	"dear ", "hi ", "hi,", "hello", "hey ", "hey,", "good morning", "good afternoon", "good evening", "good day", "greetings", "to whom",
	"尊敬的", "亲爱的", "敬爱的", "您好", "你好", "各位", "大家好", "早上好", "上午好", "下午好", "晚上好", "敬启者",
}

// stripGreeting takes the greeting from the first lines: whole lines when short, else up to its comma.
func stripGreeting(lines []line) {
	seen := 0
	for i := 0; i < len(lines) && seen < 3; i++ {
		l := &lines[i]
		if l.blank() || l.drop {
			continue
		}
		seen++
		if end := greeting(l.text); end == len(l.text) {
			l.drop = true
		} else if end > 0 {
			l.text = l.text[end:]
			return
		}
	}
}

// greeting gives how many octets of the line greet.
func greeting(t []byte) int {
	if bytes.HasSuffix(bytes.TrimRight(t, "!,.:~。,"), []byte("好")) && len(t) <= 60 {
		return len(t)
	}
	for _, g := range greetings {
		if !bytes.HasPrefix(t, []byte(g)) {
			continue
		}
		if i := bytes.IndexAny(t[:min(len(t), 64)], ",:!。"); i >= 0 {
			return cutAfter(t, i)
		}
		if len(t) <= 40 {
			return len(t)
		}
	}
	return 0
}

// cutAfter gives the end of the punctuation at i.
func cutAfter(t []byte, i int) int {
	for i < len(t) && (t[i] == ',' || t[i] == ':' || t[i] == '!' || t[i] == ' ') {
		i++
	}
	if bytes.HasPrefix(t[i:], []byte("。")) {
		i += len("。")
	}
	return i
}
