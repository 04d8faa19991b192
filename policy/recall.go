package policy

import "time"

// A RecallCode says what a recall came to for one recipient. The codes are part of the API.
type RecallCode string

// The codes that are a success: the recipient does not have the message.
const (
	RemovedFromHold    RecallCode = "removed_from_hold"
	RemovedFromQueue   RecallCode = "removed_from_queue"
	RemovedFromMailbox RecallCode = "removed_from_mailbox"
	NeverDelivered     RecallCode = "never_delivered" // bounced or blocked: nothing to take back
	AlreadyRecalled    RecallCode = "already_recalled"
)

// The codes of what is not at its end yet.
const (
	WaitingInFlight RecallCode = "waiting_in_flight" // is being sent just now
	WaitingArrival  RecallCode = "waiting_arrival"   // on its way to an internal mailbox: removed when it comes
	Retrying        RecallCode = "retrying"          // a server did not answer, or not usefully
	// RecallPlanned is the code in a dry run of what could be taken out of a mailbox now, and of a recipient
	// for whom nothing was done yet.
	RecallPlanned RecallCode = "planned"
	// RecallStaged is the code while the copy of a group's member lies in staging and the others are looked at.
	RecallStaged RecallCode = "staged"
)

// The codes that are a failure: the recipient has the message, or nobody knows.
const (
	ExternalRecipient     RecallCode = "external_recipient" // has left for another organisation
	DeliveredBeforeRecall RecallCode = "delivered_before_recall"
	AlreadyRead           RecallCode = "already_read"
	ReadDuringRecall      RecallCode = "read_during_recall"
	Forwarded             RecallCode = "forwarded"
	ForwardedExternal     RecallCode = "forwarded_external"
	Replied               RecallCode = "replied"
	PopDownloaded         RecallCode = "pop_downloaded"
	NotInMailbox          RecallCode = "not_found" // deleted, purged or moved out of reach
	GroupMemberBlocked    RecallCode = "group_member_blocked"
	GroupNotExpandable    RecallCode = "group_not_expandable"
	AmbiguousMatch        RecallCode = "ambiguous_match"
	MessageIDMissing      RecallCode = "message_id_missing"
	ProtectedFormat       RecallCode = "protected_format"
	HoldPolicyForbids     RecallCode = "hold_policy_forbids" // legal hold
	RecipientOptOut       RecallCode = "recipient_opt_out"
	InvalidAddress        RecallCode = "invalid_address" // no recipient of the message
	NoBackend             RecallCode = "no_backend"
	PermissionDenied      RecallCode = "permission_denied"
	MailboxUnreachable    RecallCode = "mailbox_unreachable" // after all tries
	WindowExpired         RecallCode = "window_expired_while_pending"
	WholeMessageOnly      RecallCode = "whole_message_only" // Postfix's queue knows no single recipients
	RecallStopped         RecallCode = "recall_cancelled"   // the recall was cancelled before it came to this one
	RecallRestored        RecallCode = "restored"           // was taken out of the mailbox, and put back on purpose
	RecallUnknown         RecallCode = "unknown"
)

// A RecallStatus tells success, failure and what is still open apart.
type RecallStatus string

// The statuses.
const (
	RecallSuccess    RecallStatus = "success"
	RecallFail       RecallStatus = "fail"
	RecallProcessing RecallStatus = "processing"
)

type recallText struct {
	status RecallStatus
	text   Label
}

var recallTexts = map[RecallCode]recallText{
	RemovedFromHold:    {RecallSuccess, Label{"taken back before it was sent", "已在发出前撤回"}},
	RemovedFromQueue:   {RecallSuccess, Label{"taken back out of the queue", "已从队列中撤回"}},
	RemovedFromMailbox: {RecallSuccess, Label{"taken out of the mailbox", "已从对方邮箱中撤回"}},
	NeverDelivered:     {RecallSuccess, Label{"was never delivered: nothing to take back", "从未投递，无需撤回"}},
	AlreadyRecalled:    {RecallSuccess, Label{"had been taken back before", "此前已撤回"}},

	WaitingInFlight: {RecallProcessing, Label{"is being sent just now: what became of it is not known yet", "正在发送，结果尚未确定"}},
	WaitingArrival:  {RecallProcessing, Label{"is not in the mailbox yet: it is taken out when it arrives", "尚未到达对方邮箱，到达后将自动撤回"}},
	Retrying:        {RecallProcessing, Label{"could not be decided just now: it is tried again", "暂时无法处理，正在重试"}},
	RecallPlanned:   {RecallProcessing, Label{"can be taken out of the mailbox now", "当前可以从对方邮箱中撤回"}},
	RecallStaged:    {RecallProcessing, Label{"set aside while the other members of the group are looked at", "已暂存，正在检查群组其他成员"}},

	ExternalRecipient:     {RecallFail, Label{"has left for another organisation's server: it cannot be taken back", "已发往外部服务器，无法撤回"}},
	DeliveredBeforeRecall: {RecallFail, Label{"was delivered before it could be taken back", "撤回前已投递"}},
	AlreadyRead:           {RecallFail, Label{"was read already", "对方已读"}},
	ReadDuringRecall:      {RecallFail, Label{"was read while it was being taken back, and left alone", "撤回过程中对方已读，未作改动"}},
	Forwarded:             {RecallFail, Label{"was forwarded by the recipient", "对方已转发"}},
	ForwardedExternal:     {RecallFail, Label{"was forwarded to another organisation", "已被转发到外部"}},
	Replied:               {RecallFail, Label{"was answered already", "对方已回复"}},
	PopDownloaded:         {RecallFail, Label{"was fetched to a device by POP3", "已被 POP3 收取到本地"}},
	NotInMailbox:          {RecallFail, Label{"is not in the mailbox any more: deleted, or moved out of reach", "邮箱中已找不到该邮件（可能已删除或移走）"}},
	GroupMemberBlocked:    {RecallFail, Label{"left alone: it cannot be taken back from every member of the group", "未撤回：群组中有成员不满足撤回条件"}},
	GroupNotExpandable:    {RecallFail, Label{"the members of the group are not known", "无法获知群组成员"}},
	AmbiguousMatch:        {RecallFail, Label{"it is not certain which message in the mailbox is meant: none was touched", "无法确定对应邮箱中的哪一封邮件，未作改动"}},
	MessageIDMissing:      {RecallFail, Label{"the message has no Message-ID by which it could be found for certain", "邮件缺少 Message-ID，无法准确定位"}},
	ProtectedFormat:       {RecallFail, Label{"encrypted mail and meeting requests are not taken back", "加密邮件或会议邀请不支持撤回"}},
	HoldPolicyForbids:     {RecallFail, Label{"the mailbox is under legal hold", "该邮箱处于合规保留状态，禁止撤回"}},
	RecipientOptOut:       {RecallFail, Label{"nothing is taken back from this mailbox", "该邮箱已设置为不参与撤回"}},
	InvalidAddress:        {RecallFail, Label{"is not a recipient of the messages", "不是这些邮件的收件人"}},
	NoBackend:             {RecallFail, Label{"no access to this mailbox is configured", "未配置该邮箱的访问方式"}},
	PermissionDenied:      {RecallFail, Label{"the mail server does not let us act for this mailbox", "邮件服务器拒绝代理访问该邮箱"}},
	MailboxUnreachable:    {RecallFail, Label{"the mail server could not be reached until the time was over", "在期限内无法连接邮件服务器"}},
	WindowExpired:         {RecallFail, Label{"the time for taking it back ended while it was waited for", "等待期间撤回时限已过"}},
	WholeMessageOnly:      {RecallFail, Label{"was released already: only the whole message can be taken back from Postfix's queue", "邮件已放行：只能从 Postfix 队列中撤回整封邮件"}},
	RecallStopped:         {RecallFail, Label{"the recall was cancelled before its turn", "撤回任务已取消，未处理"}},
	RecallRestored:        {RecallFail, Label{"was taken out of the mailbox, and put back", "撤回后已恢复到对方邮箱"}},
	RecallUnknown:         {RecallFail, Label{"what became of it is not known", "投递结果未知"}},
}

// RecallCodes lists every code there is.
var RecallCodes = []RecallCode{
	RemovedFromHold, RemovedFromQueue, RemovedFromMailbox, NeverDelivered, AlreadyRecalled,
	WaitingInFlight, WaitingArrival, Retrying, RecallPlanned, RecallStaged,
	ExternalRecipient, DeliveredBeforeRecall, AlreadyRead, ReadDuringRecall, Forwarded, ForwardedExternal, Replied, PopDownloaded,
	NotInMailbox, GroupMemberBlocked, GroupNotExpandable, AmbiguousMatch, MessageIDMissing, ProtectedFormat, HoldPolicyForbids,
	RecipientOptOut, InvalidAddress, NoBackend, PermissionDenied, MailboxUnreachable, WindowExpired, WholeMessageOnly, RecallStopped,
	RecallRestored, RecallUnknown,
}

// Status of a code; one that this version does not know is a failure.
func (c RecallCode) Status() RecallStatus { return c.known().status }

// Label gives the words of a code; one that this version does not know counts as unknown.
func (c RecallCode) Label() Label { return c.known().text }

func (c RecallCode) known() recallText {
	if t, ok := recallTexts[c]; ok {
		return t
	}
	return recallTexts[RecallUnknown]
}

// A RecallNote is the latest that a recall has said about a recipient.
type RecallNote struct {
	Job  ID         `cbor:"1,keyasint" json:"job"` // the recall
	Code RecallCode `cbor:"2,keyasint" json:"code"`
	Time time.Time  `cbor:"3,keyasint" json:"time"`
}

// A MailCopy is a message that was taken out of a folder of a mailbox: where it was, and where it lies
// now, if anywhere.
type MailCopy struct {
	Recipient int       `cbor:"1,keyasint" json:"recipient"` // row of the message
	Backend   string    `cbor:"2,keyasint" json:"backend"`   // name in the configuration
	User      string    `cbor:"3,keyasint" json:"user"`      // of the backend
	Folder    string    `cbor:"4,keyasint" json:"folder"`
	Flags     []string  `cbor:"5,keyasint,omitempty" json:"flags,omitempty"`
	Internal  time.Time `cbor:"6,keyasint,omitzero" json:"internal_date,omitzero"`
	// Mode is how it was removed: staging, trash or expunge. The next three say where it lies with the
	// first two: folder, its identity (IMAP: UIDVALIDITY; doveadm: mailbox GUID) and UID.
	Mode     string `cbor:"7,keyasint" json:"mode"`
	Staged   string `cbor:"8,keyasint,omitempty" json:"staged,omitempty"`
	StagedID string `cbor:"9,keyasint,omitempty" json:"staged_id,omitempty"`
	UID      uint32 `cbor:"10,keyasint,omitempty" json:"uid,omitempty"`
}
