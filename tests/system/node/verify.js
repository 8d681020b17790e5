// verify.js RECORDS.json < file names: what mailauth says about their DKIM signatures,
// one JSON line a file.  RECORDS: DNS name to TXT record.
'use strict';
const fs = require('fs');
const { dkimVerify } = require('mailauth/lib/dkim/verify');

const records = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const resolver = async name => {
    if (name in records) return [[records[name]]];
    const e = new Error('no such record');
    e.code = 'ENOTFOUND';
    throw e;
};

(async () => {
    for (const file of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
        const got = await dkimVerify(fs.readFileSync(file), { resolver });
        console.log(JSON.stringify({ file, results: got.results.map(r => ({
            selector: r.selector, domain: r.signingDomain, result: r.status.result,
            comment: r.status.comment || '' })) }));
    }
})().catch(e => { console.error(e); process.exit(1); });
