// Package ask recognises mail by which people ask for a recall. It only reads: what follows is the caller's work.
//
// There are two ways to ask. A mail to the service address alone says RECALL (the sender's last message) or
// RECALL <Message-ID> in its subject or in its first line, in any case, in English or Chinese (撤回, 召回), or it
// has the message attached: as a message, as its header, or as a file. And Outlook's "Recall This Message"
// sends a mail of its own to all recipients, which is recognised by what stands in it.
//
// # Outlook
//
// Such a mail is the subject of the original after a word and a colon, in the sender's language. That alone is
// no evidence: people write "Recall: brake pads". It is certain with one of these:
//
//   - the message class IPM.Outlook.Recall, in a winmail.dat (MS-OXTNEF 2.1.3.3: attMessageClass), in
//     Content-Class, or as urn:content-classes:recallmessage (Exchange's WebDAV schema);
//   - X-CallingTelephoneNumber: IPM.Note, as Exchange 2010 and later make of a property of the recall;
//   - EE_LegacyOutlookRecall or EE_MessageRecallEmail in X-MS-TrafficTypeDiagnostic, of Exchange Online.
//
// Else the word must be one that Outlook is known to write, and the caller must know a message of the same
// sender whose subject is the rest and whose Thread-Index is that of the same conversation ([Thread]). In
// requests as they were seen on mailing lists from 2019 to 2026 Exchange wrote a new Thread-Index, so that it
// is the other evidence by which most are known; Outlook without Exchange keeps it. Class names:
// learn.microsoft.com, Outlook VBA, Item Types and Message Classes.
//
// # Trust
//
// Every octet is foreign. Only authenticated people are believed ([Believed]), unless the caller trusts the
// client's envelope sender; what stands in From never counts. Automatic mail asks for nothing (RFC 3834).
//
// # Failure
//
// What cannot be read is no request. A mail to the service address that says nothing of use is [Unclear], so
// that its sender can be told how to ask.
//
// # Concurrency
//
// Everything here is a pure function.
//
// # Standards
//
// RFC 5322 3.6.4 (Message-ID), RFC 2046 5.2.1 (message/rfc822), RFC 6522 4 (text/rfc822-headers), RFC 3834 5
// (Auto-Submitted), MS-OXOMSG 2.2.1.3 (PidTagConversationIndex: Thread-Index).
//
// # Limits
//
// Of the raw message the first 256 KiB are looked at, 32 parts and 4 levels deep, and of these 20 Message-IDs.
package ask
