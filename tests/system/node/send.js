// send.js - submit one raw message with nodemailer: node send.js OPTIONS.json
'use strict';
const fs = require('fs');
const nodemailer = require('nodemailer');

const o = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const read = (path) => (path ? fs.readFileSync(path) : undefined);

const transport = nodemailer.createTransport({
  host: o.host,
  port: o.port,
  secure: o.secure,
  requireTLS: o.requireTLS,
  name: 'client.example.org',
  auth: o.user ? { user: o.user, pass: o.password } : undefined,
  tls: { ca: read(o.ca), cert: read(o.cert), key: read(o.key) },
});

transport
  .sendMail({ envelope: { from: o.from, to: o.to }, raw: read(o.message) })
  .then((info) => console.log(info.response))
  .catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
