package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

var englishWords = strings.Fields("time people way water words other look more write number day could part sound work place year live back thing")

var englishDisclaimers = []string{
	`This email and any files transmitted with it are confidential and intended solely for the use of the individual or entity to whom they are addressed. If you have received this email in error please notify the system manager.`,
	`CONFIDENTIALITY NOTICE: The contents of this message are intended solely for the addressee. If you are not the intended recipient, any disclosure, copying, distribution or any action taken in reliance on it is strictly prohibited and may be unlawful. Please notify the sender and delete this message.`,
	`The information contained in this communication may be privileged. It is for the named addressee only; if that is not you, kindly destroy it and inform us by return. Although we check for viruses, we accept no liability for damage caused by this e-mail. Views expressed are those of the author and do not necessarily represent the company.`,
	`Please consider the environment before printing this email. Registered in England and Wales No. 01234567. Registered office: 1 High Street, London. This message may contain confidential information; if received in error, delete it.`,
}

var chineseDisclaimers = []string{
	`本邮件及其附件含有本公司的保密信息，仅限于发送给上面地址中列出的个人或群组。禁止任何其他人以任何形式使用本邮件中的信息。如果您错收了本邮件，请您立即电话或邮件通知发件人并删除本邮件！`,
	`声明：此邮件可能包含机密或专有信息，仅供指定收件人使用。若您并非指定收件人，请勿阅读、复制、披露或传播其内容，并请立即通知发送人后将其删除。本公司对因病毒造成的任何损失不承担责任。`,
	`重要提示：本电子邮件所载内容属于商业秘密，受法律保护。未经授权，任何人不得使用、泄露。邮件中的观点仅代表作者个人，不代表公司立场。打印此邮件前请考虑保护环境。`,
}

// signature composes what a mail program puts below every text.
func signature(r *rand.Rand, chinese bool) string {
	if chinese {
		return fmt.Sprintf("此致\n敬礼\n\n%s\n销售部经理\n%s\n电话：010-%08d\n地址：北京市海淀区中关村大街%d号\n\n%s", pick(r, chineseNames),
			pick(r, chineseCompanies), r.IntN(1e8), r.IntN(200), pick(r, chineseDisclaimers))
	}
	sep := pick(r, []string{"Best regards,\n", "-- \n", "Kind regards\n\n", "Thanks,\n"})
	return fmt.Sprintf("%s%s\nSenior Account Manager\n%s\nTel: +44 20 %04d %04d\nwww.company%d.example\n\n%s", sep, pick(r, englishNames),
		pick(r, englishCompanies), r.IntN(1e4), r.IntN(1e4), r.IntN(100), pick(r, englishDisclaimers))
}
