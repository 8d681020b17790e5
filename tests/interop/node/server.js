// server.js - nodemailer's smtp-server as a submission server: node server.js SETTINGS.json
// Writes each message to a Maildir and prints who sent it and how.
'use strict';
const fs = require('fs');
const path = require('path');
const { SMTPServer } = require('smtp-server');

const settings = JSON.parse(fs.readFileSync(process.argv[2]));
let number = 0;

function keep(address, octets) {
    const box = path.join(settings.folder, address.split('@')[0].toLowerCase().replace(/[^a-z0-9]/g, '_'));
    const name = String(++number).padStart(6, '0');
    for (const sub of ['tmp', 'new']) fs.mkdirSync(path.join(box, sub), { recursive: true });
    fs.writeFileSync(path.join(box, 'tmp', name), octets);
    fs.renameSync(path.join(box, 'tmp', name), path.join(box, 'new', name));
}

const options = {
    name: 'mail.remote.test',
    key: fs.readFileSync(settings.key),
    cert: fs.readFileSync(settings.certificate),
    ca: fs.readFileSync(settings.ca),
    requestCert: true,
    rejectUnauthorized: false,
    authMethods: ['PLAIN', 'LOGIN', 'CRAM-MD5'],
    onAuth(auth, session, done) {
        const good = auth.username === settings.user &&
            (auth.validatePassword ? auth.validatePassword(settings.password) : auth.password === settings.password);
        if (!good) return done(new Error('Invalid username or password'));
        session.how = auth.method;
        done(null, { user: auth.username });
    },
    onData(stream, session, done) {
        const parts = [];
        stream.on('data', (part) => parts.push(part));
        stream.on('end', () => {
            const octets = Buffer.concat(parts);
            const id = /^message-id:\s*(\S+)/im.exec(octets.toString('latin1'));
            console.log(`accepted ${id && id[1]} from ${session.user} by ${session.how}`);
            for (const to of session.envelope.rcptTo) keep(to.address, octets);
            done();
        });
    },
};
for (const [port, secure] of [[settings.port, false], [settings.tls_port, true]]) {
    const server = new SMTPServer({ ...options, secure });
    server.on('error', (e) => console.log(`error ${e.message}`));
    server.listen(port, '127.0.0.1');
}
process.on('SIGTERM', () => process.exit(0));
