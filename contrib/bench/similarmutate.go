package main

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A mutator makes copies of the kinds that senders of bulk mail make. It is seeded.
type mutator struct {
	*rand.Rand
	letters []*letter // of one language: natural text to add
	words   []string  // of that language
	chinese bool
}

// A mutation changes a draft. Its name is the name in the result.
type mutation struct {
	name string
	do   func(*mutator, *draft)
}

// mutations are those of the goals.
func mutations() []mutation {
	list := []mutation{
		{"header", (*mutator).header},
		{"encoding", func(*mutator, *draft) {}},
		{"text_html", (*mutator).otherForm},
		{"html_noise", func(_ *mutator, d *draft) { d.html, d.both, d.noise = true, false, true }},
		{"personal", (*mutator).personal},
		{"numbers", (*mutator).numbers},
		{"urls", (*mutator).urls},
		{"footer", (*mutator).footer},
		{"dates", (*mutator).dates},
	}
	rated := func(name string, do func(*mutator, *draft, float64), rates ...int) {
		for _, p := range rates {
			list = append(list, mutation{fmt.Sprintf("%s%d", name, p), func(m *mutator, d *draft) { do(m, d, float64(p)/100) }})
		}
	}
	rated("zerowidth", (*mutator).zeroWidth, 20, 100)
	rated("homoglyph", (*mutator).homoglyphs, 20, 60)
	rated("sepchars", (*mutator).separators, 10, 30)
	rated("append", (*mutator).append, 10, 30, 100)
	rated("prepend", (*mutator).prepend, 10, 30, 100)
	rated("insert", (*mutator).insert, 5, 10, 20, 30)
	rated("subst", (*mutator).substitute, 5, 10, 20, 30)
	rated("delete", (*mutator).remove, 10)
	return append(list,
		mutation{"shuffle", (*mutator).shuffle},
		mutation{"combined", (*mutator).combined},
		mutation{"hide_in_quote", (*mutator).hide},
	)
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func (m *mutator) header(d *draft) {
	d.subject = fmt.Sprintf("%s %d", m.some(2), m.IntN(1e5))
	if d.reply {
		d.subject = "Re: " + d.subject
	}
}

func (m *mutator) otherForm(d *draft) {
	switch {
	case d.html:
		d.html = false
	case m.IntN(2) == 0:
		d.both = true
	default:
		d.html = true
	}
}

// some gives random words.
func (m *mutator) some(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = pick(m.Rand, m.words)
	}
	if m.chinese {
		return strings.Join(words, "")
	}
	return strings.Join(words, " ")
}

var (
	englishNames     = []string{"John Smith", "Mary Jones", "Peter Brown", "Linda Taylor", "Ahmed Khan", "Susan Lee", "Carlos Diaz", "Anna Novak"}
	chineseNames     = []string{"张伟", "王芳", "李娜", "刘洋", "陈静", "杨帆", "赵敏", "黄磊", "周杰", "吴倩"}
	englishCompanies = []string{"Acme Ltd", "Globex Corporation", "Initech", "Umbrella Inc", "Stark Industries"}
	chineseCompanies = []string{"华信科技有限公司", "东方贸易公司", "蓝天物流集团", "中联软件股份有限公司"}
)

func (m *mutator) personal(d *draft) {
	if m.chinese {
		d.to = pick(m.Rand, chineseNames)
		company := pick(m.Rand, chineseCompanies)
		d.text = pick(m.Rand, []string{"尊敬的" + d.to + "先生：", d.to + "，您好！", "亲爱的" + d.to + "："}) + "\n\n" + d.text +
			"\n\n" + pick(m.Rand, []string{"另：" + company + "的同事如有疑问，请" + d.to + "随时联系我。", "附言：请代我向" + company + "问好，" + d.to + "。"})
		return
	}
	d.to = pick(m.Rand, englishNames)
	first, _, _ := strings.Cut(d.to, " ")
	company := pick(m.Rand, englishCompanies)
	d.text = pick(m.Rand, []string{"Dear " + d.to + ",", "Hi " + first + ",", "Hello " + first + "!"}) + "\n\n" + d.text +
		"\n\n" + pick(m.Rand, []string{"P.S. " + first + ", I hope all is well at " + company + ".", "P.S. Greetings to everybody at " + company + ", " + first + "!"})
}

var (
	digits   = regexp.MustCompile(`[0-9]+`)
	webLinks = regexp.MustCompile(`https?://[^\s<>"'）)，。]+`)
	dateLike = regexp.MustCompile(`\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}日?`)
)

func (m *mutator) numbers(d *draft) {
	d.text = digits.ReplaceAllStringFunc(d.text, func(string) string { return m.number(1 + m.IntN(6)) })
	if m.chinese {
		d.text = fmt.Sprintf("订单号：%s，金额：%s元\n\n%s", m.number(8), m.number(4), d.text)
	} else {
		d.text = fmt.Sprintf("Order no. %s-%s, amount $%s.%s\n\n%s", m.number(3), m.number(5), m.number(3), m.number(2), d.text)
	}
}

func (m *mutator) number(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '0' + byte(m.IntN(10))
	}
	return string(b)
}

func (m *mutator) link() string {
	return fmt.Sprintf("https://%s.%s/%x?u=%x&id=%d", pick(m.Rand, []string{"go", "click", "track", "www", "m"}),
		pick(m.Rand, []string{"shop.example", "news.example.com", "a-b.example.net", "t.example.org"}), m.Uint32(), m.Uint64(), m.IntN(1e6))
}

func (m *mutator) urls(d *draft) {
	d.text = webLinks.ReplaceAllStringFunc(d.text, func(string) string { return m.link() })
	if m.chinese {
		d.text += "\n\n请点击：" + m.link()
	} else {
		d.text += "\n\nClick here: " + m.link()
	}
}

func (m *mutator) footer(d *draft) {
	english := []string{
		"You are receiving this email because you signed up at %s.\nTo unsubscribe click %s or write to leave-%s@lists.example.",
		"If you no longer wish to receive these messages, unsubscribe: %s\n%s ref %s",
		"To stop getting our news, follow %s or see %s (message %s).",
		"--\nManage your preferences: %s\nUnsubscribe: %s\nMember no. %s",
	}
	chinese := []string{
		"您收到此邮件是因为您订阅了%s的服务。\n如需退订，请点击 %s 或回复编号%s。",
		"如果您不想再收到此类邮件，请点击退订：%s %s 编号%s",
		"若您希望取消订阅，请访问%s，或者%s（编号：%s）",
	}
	list := english
	if m.chinese {
		list = chinese
	}
	d.text += "\n\n" + fmt.Sprintf(pick(m.Rand, list), m.link(), m.link(), m.number(6))
}

func (m *mutator) dates(d *draft) {
	d.text = dateLike.ReplaceAllStringFunc(d.text, func(string) string { return m.date() })
	line := fmt.Sprintf("Date: %s", m.date())
	if m.chinese {
		line = fmt.Sprintf("日期：%s", m.date())
	}
	if m.IntN(2) == 0 {
		d.text = line + "\n\n" + d.text
	} else {
		d.text += "\n\n" + line
	}
}

func (m *mutator) date() string {
	y, mo, day := 2020+m.IntN(8), 1+m.IntN(12), 1+m.IntN(28)
	month := []string{"January", "Feb", "March", "April", "May", "June", "Jul", "August", "Sept", "October", "Nov", "December"}[mo-1]
	forms := []string{
		fmt.Sprintf("%d-%02d-%02d", y, mo, day), fmt.Sprintf("%d/%d/%d", mo, day, y), fmt.Sprintf("%d.%d.%d", day, mo, y),
		fmt.Sprintf("%s %d, %d", month, day, y), fmt.Sprintf("%d %s %d", day, month, y),
	}
	if m.chinese {
		forms = append(forms, fmt.Sprintf("%d年%d月%d日", y, mo, day), fmt.Sprintf("%d月%d日 下午%d点", mo, day, 1+m.IntN(5)),
			fmt.Sprintf("%d年%d月%d日 星期%s", y, mo, day, pick(m.Rand, []string{"一", "二", "三", "五"})))
	}
	return pick(m.Rand, forms)
}

// natural gives about that many units of other mail or of random words.
func (m *mutator) natural(units int) string {
	units = max(units, 1)
	if m.IntN(2) == 0 {
		return m.some(units) + "."
	}
	words := splitWords(pick(m.Rand, m.letters).text)
	var b strings.Builder
	n := 0
	start := 0
	if len(words) > units {
		start = m.IntN(len(words) - units)
	}
	for _, w := range words[start:] {
		if b.WriteString(w.text + w.gap); w.text != "" {
			n++
		}
		if n >= units {
			break
		}
	}
	if n < units {
		b.WriteString(" " + m.some(units-n))
	}
	return b.String()
}

func (m *mutator) append(d *draft, p float64) {
	d.text += "\n\n" + m.natural(int(p*float64(d.size)))
}

func (m *mutator) prepend(d *draft, p float64) {
	d.text = m.natural(int(p*float64(d.size))) + "\n\n" + d.text
}

func (m *mutator) insert(d *draft, p float64) {
	d.text = mapWords(d.text, func(w string) string {
		if m.Float64() >= p {
			return w
		}
		if m.chinese {
			return w + pick(m.Rand, m.words)
		}
		return w + " " + pick(m.Rand, m.words)
	})
}

func (m *mutator) substitute(d *draft, p float64) {
	d.text = mapWords(d.text, func(w string) string {
		if m.Float64() < p {
			return pick(m.Rand, m.words)
		}
		return w
	})
}

func (m *mutator) remove(d *draft, p float64) {
	d.text = mapWords(d.text, func(w string) string {
		if m.Float64() < p {
			return ""
		}
		return w
	})
}

func (m *mutator) zeroWidth(d *draft, p float64) {
	signs := []rune("\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e")
	d.text = mapWords(d.text, func(w string) string {
		var b strings.Builder
		for _, r := range w {
			if b.WriteRune(r); m.Float64() < p {
				b.WriteRune(pick(m.Rand, signs))
			}
		}
		return b.String()
	})
}

// twins are letters that look alike, and full width ones.
var twins = map[rune]string{
	'a': "аａ𝐚á", 'c': "сｃ", 'e': "еｅéε", 'i': "іｉ𝗂í", 'j': "јｊ", 'k': "кｋ", 'l': "ⅼｌ", 'm': "м𝐦ｍ", 'n': "ոｎ", 'o': "оοｏօ",
	'p': "рρｐ", 's': "ѕｓ", 't': "т𝘁ｔ", 'u': "υսｕ", 'v': "ѵｖ", 'w': "ԝｗ", 'x': "хｘ", 'y': "уｙ", 'd': "ԁｄ", 'h': "һｈ", 'b': "Ьｂ",
	'A': "АΑＡ", 'B': "ВΒＢ", 'C': "СＣ", 'E': "ЕΕＥ", 'H': "НΗＨ", 'I': "ІΙＩ", 'K': "КΚＫ", 'M': "МΜＭ", 'N': "ΝＮ", 'O': "ОΟＯ",
	'P': "РΡＰ", 'S': "ЅＳ", 'T': "ТΤＴ", 'X': "ХΧＸ", 'Y': "ҮＹ", '0': "０", '1': "１", '2': "２", '8': "８", '9': "９",
	'一': "⼀", '人': "⼈", '大': "⼤", '日': "⽇", '月': "⽉", '水': "⽔", '生': "⽣", '行': "⾏", '金': "⾦", '高': "⾼", '立': "⽴", '用': "⽤",
	'不': "\uf967", '女': "\uf981", '力': "\uf98a", '年': "\uf98e", '理': "\uf9e4", '度': "\ufa01",
}

func (m *mutator) homoglyphs(d *draft, p float64) {
	d.text = mapWords(d.text, func(w string) string {
		return strings.Map(func(r rune) rune {
			if t := []rune(twins[r]); len(t) > 0 && m.Float64() < p {
				return pick(m.Rand, t)
			}
			return r
		}, w)
	})
}

func (m *mutator) separators(d *draft, p float64) {
	d.text = mapWords(d.text, func(w string) string {
		if m.Float64() >= p || utf8.RuneCountInString(w) < 2 || strings.ContainsFunc(w, func(r rune) bool { return !unicode.IsLetter(r) }) {
			return w
		}
		sep := pick(m.Rand, []string{".", "-", "*", "_", "/", "·"})
		return strings.Join(strings.Split(w, ""), sep)
	})
}

// shuffle changes the order of the paragraphs; of the lines where there are hardly any.
func (m *mutator) shuffle(d *draft) {
	sep := "\n\n"
	if strings.Count(d.text, sep) < 2 {
		sep = "\n"
	}
	parts := strings.Split(d.text, sep)
	m.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	d.text = strings.Join(parts, sep)
}

func (m *mutator) combined(d *draft) {
	m.numbers(d)
	m.urls(d)
	m.insert(d, 0.05)
	m.personal(d)
	m.append(d, 0.20)
	m.zeroWidth(d, 0.20)
	d.html, d.both, d.noise = true, false, true
}

// hide makes a forged reply that carries the text as its quotation.
func (m *mutator) hide(d *draft) {
	d.quoted = d.text
	d.text = m.natural(8 + m.IntN(12))
	d.reply = true
	d.subject = "Re: " + m.some(3)
	d.html = m.IntN(2) == 0
}

// A piece is a word with what follows it; in Chinese two characters count as a word.
type piece struct{ text, gap string }

func splitWords(s string) []piece {
	var out []piece
	for len(s) > 0 {
		n := wordLength(s)
		gap := n
		for gap < len(s) {
			r, size := utf8.DecodeRuneInString(s[gap:])
			if wordRune(r) {
				break
			}
			gap += size
		}
		out = append(out, piece{s[:n], s[n:gap]})
		s = s[gap:]
	}
	return out
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// wordLength measures a run of letters and digits, a URL, or up to two ideographs.
func wordLength(s string) int {
	if at := webLinks.FindStringIndex(s[:min(len(s), 200)]); at != nil && at[0] == 0 {
		return at[1]
	}
	n, signs := 0, 0
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if !wordRune(r) {
			break
		}
		if unicode.Is(unicode.Han, r) {
			if n > 0 && signs == 0 {
				break
			}
			if signs++; signs == 2 {
				return n + size
			}
		} else if signs > 0 {
			break
		}
		n += size
	}
	return n
}

func mapWords(s string, f func(string) string) string {
	var b strings.Builder
	for _, p := range splitWords(s) {
		if p.text != "" && !strings.Contains(p.text, "://") {
			b.WriteString(f(p.text))
		} else {
			b.WriteString(p.text)
		}
		b.WriteString(p.gap)
	}
	return b.String()
}
