package similar

import (
	"bytes"
	"encoding/binary"
)

// A cue is a kind of phrase that the line rules look for.
type cue uint8

const (
	cueLegal    cue = iota // a disclaimer; two different ones mark a paragraph
	cueLeave               // a way to leave a list, or why one gets it
	cueMeeting             // how to join a meeting
	cueWrote               // introduces a quotation
	cueOriginal            // everything below is an older message
	cueDevice              // what a phone adds
	cues
)

// phrases are written as they look after folding.
var phrases = [cues][]string{
	cueLegal: {
		"confidential", "intended recipient", "intended solely", "intended only", "intended for", "solely for the use",
		"privileged", "unauthorized", "unauthorised", "disclosure", "disclose", "dissemination", "copying or distribution",
		"distribution or copying", "notify the sender", "notify us", "notify me", "inform the sender", "advise the sender",
		"received this message in error", "received this e-mail in error", "received this email in error",
		"received it in error", "in error", "delete this", "delete it", "delete the", "legally protected", "strictly prohibited",
		"named addressee", "individual or entity", "virus", "malware", "does not accept", "accepts no liability",
		"accept any liability", "no liability", "not responsible", "do not necessarily", "views expressed", "opinions expressed",
		"registered in england", "registered office", "before printing", "consider the environment", "this email and any",
		"this e-mail and any", "this message and any", "any attachments", "any attachment", "e-mail transmission", "disclaimer",
		"保密", "机密", "预期收件人", "指定收件人", "指定的收件人", "预定收件人", "预期的收件人", "特定收件人", "误收", "错误地收到", "错误收到",
		"非本邮件", "本邮件及", "此邮件及", "本电子邮件", "本邮件", "立即删除", "并删除", "删除本", "删除此", "立即通知", "通知发件人", "通知发送",
		"未经授权", "未经许可", "未经本公司", "不得泄露", "不得披露", "严禁", "禁止", "任何形式", "病毒", "不承担", "不代表", "免责声明",
		"法律责任", "法律保护", "商业秘密", "仅供", "任何附件", "保护环境", "打印此", "打印本", "披露", "传播", "複製", "機密",
		"收件人", "附件",
	},
	cueLeave: {
		"unsubscribe", "opt out", "opt-out", "you received this", "you are receiving", "you're receiving", "manage your preferences",
		"email preferences", "mailing list", "groups sponsor", "is sponsored by", "your use of yahoo", "to be removed", "view in browser", "view this email", "update your subscription",
		"退订", "取消订阅", "不想再收到", "不想收到", "不再接收", "退出邮件", "管理订阅", "您收到此邮件", "您收到这封", "本邮件由系统",
	},
	cueMeeting: {
		"join the meeting", "join zoom meeting", "join microsoft teams", "microsoft teams meeting", "meeting id", "passcode:",
		"join on your computer", "click here to join", "dial by your location", "one tap mobile", "find your local number",
		"or call in", "conference id", "meeting options", "learn more about teams", "video conferencing device",
		"腾讯会议", "会议号", "会议id", "会议密码", "点击链接入会", "加入会议", "邀请您参加", "会议主题:", "复制该信息", "手机一键拨号",
		"飞书会议", "钉钉会议",
	},
	cueWrote: {
		"wrote:", "writes:", "wrote in", "schrieb:", "ecrit :", "escribio:", "写道:", "写到:", "写道：", "的大作中提到", "说道:",
	},
	cueOriginal: {
		"original message", "original appointment", "forwarded message", "原始邮件", "原邮件", "转发邮件", "转发的邮件", "原始信件",
		"reply message",
	},
	cueDevice: {
		"sent from my", "sent from mail for", "get outlook for", "sent via ", "发自我的", "从我的", "来自我的", "发送自",
		"※ 来源", "※ 修改", "发信人:", "发信站:", "转信站:",
		"获取 outlook",
	},
}

// A finder finds phrases of at least four octets. The first four choose a list of phrases, which is
// mostly none: so a position of a line costs one look into a table that fits a first-level cache, and
// no position waits for the one before, as it does in an automaton.
type finder struct {
	start [1 << startBits]uint8 // index of lists; 0 is none
	lists [][]phrase
}

const startBits = 13

// A phrase has its kind, and a bit by its number within it modulo 64, to count different ones.
type phrase struct {
	text []byte
	cue  cue
	bit  uint64
}

var cueFinder = newFinder(phrases)

func newFinder(phrases [cues][]string) *finder {
	f := &finder{lists: make([][]phrase, 1)}
	for c, list := range phrases {
		for i, p := range list {
			s := &f.start[startOf([]byte(p))]
			if *s == 0 {
				*s = uint8(len(f.lists))
				f.lists = append(f.lists, nil)
			}
			f.lists[*s] = append(f.lists[*s], phrase{[]byte(p), cue(c), 1 << (i % 64)})
		}
	}
	return f
}

// startOf hashes the first four octets.
func startOf(t []byte) uint32 {
	return binary.LittleEndian.Uint32(t) * 0x9e3779b1 >> (32 - startBits)
}

// scan gives the phrases in a line: for each kind a bit per different phrase.
func (f *finder) scan(line []byte) (seen [cues]uint64) {
	for len(line) >= 4 {
		if n := f.start[startOf(line)]; n != 0 {
			for _, p := range f.lists[n] {
				if bytes.HasPrefix(line, p.text) {
					seen[p.cue] |= p.bit
				}
			}
		}
		line = line[1:]
	}
	return seen
}
