-- A sender, one recipient among three and a message are refused by rules; the session goes on after
-- each.
conn = mt.connect(socket)
if conn == nil then
	error("connect")
end

function must(what, err)
	if err ~= nil then
		error(what .. ": " .. err)
	end
end

function answered(what, want)
	if mt.getreply(conn) ~= want then
		error(what .. " is answered " .. mt.getreply(conn))
	end
end

must("negotiate", mt.negotiate(conn, nil, nil, nil))
if mt.test_option(conn, SMFIP_NR_MAIL) or mt.test_option(conn, SMFIP_NR_RCPT) then
	error("MAIL and RCPT are not answered")
end
must("conninfo", mt.conninfo(conn, "host.example", "192.0.2.7"))
must("helo", mt.helo(conn, "client.example"))

must("mail", mt.mailfrom(conn, "<bad@corp.example>"))
answered("a bad sender", SMFIR_REPLYCODE)

must("mail", mt.mailfrom(conn, "<alice@corp.example>"))
answered("a good sender", SMFIR_CONTINUE)
must("rcpt", mt.rcptto(conn, "<one@remote.example>"))
answered("the first recipient", SMFIR_CONTINUE)
must("rcpt", mt.rcptto(conn, "<bad@remote.example>"))
answered("a bad recipient", SMFIR_REPLYCODE)
must("rcpt", mt.rcptto(conn, "<two@remote.example>"))
answered("the last recipient", SMFIR_CONTINUE)
must("header", mt.header(conn, "Subject", "good"))
must("eom", mt.eom(conn))
answered("a good message", SMFIR_CONTINUE)

must("mail", mt.mailfrom(conn, "<alice@corp.example>"))
must("rcpt", mt.rcptto(conn, "<one@remote.example>"))
must("header", mt.header(conn, "Subject", "bad"))
must("eom", mt.eom(conn))
answered("a bad message", SMFIR_REPLYCODE)
if not mt.eom_check(conn, MT_SMTPREPLY, "554", "5.7.0", "no: 100%% bad") then
	error("the text is another one")
end
mt.disconnect(conn)
