#!/usr/bin/env python3
"""read_back.py PORT CA_FILE PASSWORD: the mailbox as an IMAP client sees it, one JSON object a mail."""
import email
import email.policy
import imaplib
import json
import ssl
import sys

port, ca_file, password = sys.argv[1:]
box = imaplib.IMAP4("localhost", int(port))
box.starttls(ssl.create_default_context(cafile=ca_file))
box.login("desk", password)
box.select("INBOX", readonly=True)
_, found = box.search(None, "ALL")
for number in found[0].split():
    _, data = box.fetch(number, "(BODY.PEEK[])")
    raw = data[0][1]
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    text = mail.get_body(("plain",))
    html = mail.get_body(("html",))
    print(json.dumps({
        "headers": [[name, str(value)] for name, value in mail.items()],
        "from": [[a.display_name, a.addr_spec] for a in mail["From"].addresses],
        "defects": [str(d) for part in mail.walk() for d in part.defects]
        + [str(d) for value in mail.values() for d in getattr(value, "defects", ())],
        "parts": [part.get_content_type() for part in mail.walk()],
        "text": text and text.get_content(),
        "html": html and html.get_content(),
        "longest": max(len(line) for line in raw.splitlines()),
    }))
# The server's own idea of the conversations, each a list of mails.
typ, threads = box.thread("REFERENCES", "UTF-8", "ALL")
print(json.dumps({"threads": threads[0].decode()}))
box.logout()
