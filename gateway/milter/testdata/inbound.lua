-- Mail of a client that nobody trusts goes on untouched, whatever the rules say.
conn = mt.connect(socket)
if conn == nil then
	error("connect")
end

function must(what, err)
	if err ~= nil then
		error(what .. ": " .. err)
	end
end

must("conninfo", mt.conninfo(conn, "host.example", "198.51.100.1"))
must("helo", mt.helo(conn, "client.example"))
must("mail", mt.mailfrom(conn, "<>"))
must("rcpt", mt.rcptto(conn, "<alice@corp.example>"))
must("header", mt.header(conn, "Subject", "bad"))
must("eom", mt.eom(conn))
if mt.getreply(conn) ~= SMFIR_CONTINUE then
	error("it is answered " .. mt.getreply(conn))
end
if mt.eom_check(conn, MT_QUARANTINE) or mt.eom_check(conn, MT_HDRADD) then
	error("it is touched")
end
mt.disconnect(conn)
