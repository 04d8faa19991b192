-- Outbound mail of a trusted client is quarantined, message after message on one connection, and
-- nothing but the end of a message is answered.
conn = mt.connect(socket)
if conn == nil then
	error("connect")
end

function must(what, err)
	if err ~= nil then
		error(what .. ": " .. err)
	end
end

must("negotiate", mt.negotiate(conn, nil, nil, nil))
if not mt.test_action(conn, SMFIF_QUARANTINE) then
	error("quarantine was not asked for")
end
if mt.test_action(conn, SMFIF_CHGBODY) then
	error("more was asked for than is used")
end
if not mt.test_option(conn, SMFIP_NR_HDR) then
	error("fields are answered")
end

must("conninfo", mt.conninfo(conn, "host.example", "192.0.2.7"))
must("helo", mt.helo(conn, "client.example"))
for i = 1, 3 do
	-- The queue id comes with MAIL, as from Sendmail.
	mt.macro(conn, SMFIC_MAIL, "i", "4ZLua" .. i)
	must("mail", mt.mailfrom(conn, "<alice@corp.example>", "SIZE=1000"))
	must("rcpt", mt.rcptto(conn, "<bob@remote.example>", "NOTIFY=NEVER"))
	must("header", mt.header(conn, "From", "alice@corp.example"))
	must("header", mt.header(conn, "Subject", "by miltertest"))
	must("eom", mt.eom(conn))
	if mt.getreply(conn) ~= SMFIR_CONTINUE then
		error("message " .. i .. " is answered " .. mt.getreply(conn))
	end
	if not mt.eom_check(conn, MT_QUARANTINE) then
		error("message " .. i .. " is not held")
	end
	must("abort", mt.abort(conn))
end
mt.disconnect(conn)
