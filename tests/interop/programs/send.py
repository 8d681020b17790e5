"""send.py OPTIONS.json - one message by Python's smtplib, as its manual shows it.

external: "initial", "initial-empty", "asked" or "asked-empty": the identity (or none) in the
AUTH command itself, or in answer to the server's question."""
import json, smtplib, ssl, sys

with open(sys.argv[1]) as f:
    o = json.load(f)
with open(o["message"], "rb") as f:
    message = f.read()
context = ssl.create_default_context(cafile=o["ca"])
if "certificate" in o:
    context.load_cert_chain(o["certificate"], o["key"])
if o["implicit"]:
    s = smtplib.SMTP_SSL("localhost", o["port"], context=context, timeout=30)
else:
    s = smtplib.SMTP("localhost", o["port"], timeout=30)
    s.starttls(context=context)
if "external" in o:
    s.ehlo_or_helo_if_needed()
    said = "" if o["external"].endswith("empty") else o["identity"]
    print(s.auth("EXTERNAL", lambda challenge=None: said,
                 initial_response_ok=o["external"].startswith("initial")))
elif "password" in o:
    s.login(o["user"], o["password"])
s.sendmail(o["from"], [o["to"]], message, mail_options=["BODY=8BITMIME"])
s.quit()
