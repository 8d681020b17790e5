// send.js OPTIONS.json - one message by nodemailer, as its manual shows it.
'use strict';
const fs = require('fs');
const nodemailer = require('nodemailer');

const o = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const read = (path) => (path ? fs.readFileSync(path) : undefined);
let auth;
let customAuth;
if (o.external) {
  auth = { type: 'custom', method: 'EXTERNAL', user: o.identity, pass: '-' };
  customAuth = {
    EXTERNAL: async (ctx) => {
      const identity = Buffer.from(ctx.auth.credentials.user).toString('base64');
      const answer = await ctx.sendCommand(`AUTH EXTERNAL ${identity}`);
      if (answer.status < 200 || answer.status > 299) throw new Error(answer.text);
    },
  };
} else if (o.password) {
  auth = { user: o.user, pass: o.password };
}
const transport = nodemailer.createTransport({
  host: 'localhost',
  port: o.port,
  secure: o.implicit,
  requireTLS: true,
  name: 'client.example.org',
  auth,
  customAuth,
  tls: { ca: read(o.ca), cert: read(o.certificate), key: read(o.key) },
});
transport.sendMail({ envelope: { from: o.from, to: o.to }, raw: read(o.message) }).then(
  (info) => console.log(info.response),
  (error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
