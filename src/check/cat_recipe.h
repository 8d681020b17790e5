/*
 * cat_recipe.h - what a client must be set to so that it works with a server: rows of the
 * catalogue.  See cat_server.h.
 *
 * Each can be pasted as it stands, into a shell or (msmtp) a file, when the words in
 * capitals are replaced: tests/system/t_check_recipes.py does it.  {host} {port} {user}
 * {identity} {cert} {key} {mechanism} are filled in from the run; {scheme} {starttls}
 * {security} {tls} follow from how TLS begins there (report.c).  With --ca each gets what
 * trusts that authority (catalogue.c).  The first line of `sallyport` stands in the summary.
 *
 * No line for a program: it cannot.  swaks and Thunderbird have no EXTERNAL (Thunderbird's
 * method "TLS Certificate" says MAIL at once); msmtp has no initial response with EXTERNAL.
 */
/* clang-format off */

SP_RECIPE(PASSWORD_STARTTLS, .id = "password-starttls", .title = "a password over STARTTLS",
    .curl = "curl --ssl-reqd --url smtp://{host}:{port} --user {user} \\\n"
            "     --mail-from FROM --mail-rcpt TO --crlf --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_starttls on\nauth on\nuser {user}\npasswordeval COMMAND\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\nConnection security: STARTTLS\n"
                   "Authentication method: Normal password\nUser name: {user}",
    .swaks = "swaks --server {host} --port {port} --tls --tls-verify \\\n      --auth-user {user} --protect-prompt --auth-hide-password \\\n      --from FROM --to TO",
    .sallyport = "sallyport send --server smtp://{host}:{port} --user {user} \\\n"
                 "     --from FROM --to TO MESSAGE")

SP_RECIPE(PASSWORD_IMPLICIT, .id = "password-implicit", .title = "a password over implicit TLS",
    .curl = "curl --url smtps://{host}:{port} --user {user} \\\n"
            "     --mail-from FROM --mail-rcpt TO --crlf --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_starttls off\nauth on\nuser {user}\npasswordeval COMMAND\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\nConnection security: SSL/TLS\n"
                   "Authentication method: Normal password\nUser name: {user}",
    .swaks = "swaks --server {host} --port {port} --tls-on-connect --tls-verify \\\n      --auth-user {user} --protect-prompt --auth-hide-password \\\n      --from FROM --to TO",
    .sallyport = "sallyport send --server smtps://{host}:{port} --user {user} \\\n"
                 "     --from FROM --to TO MESSAGE")

SP_RECIPE(CERTIFICATE_EXTERNAL, .id = "certificate-external",
    .title = "a client certificate with AUTH EXTERNAL",
    .curl = "curl --ssl-reqd --url {scheme}://{host}:{port} --cert {cert} --key {key} \\\n"
            "     --login-options AUTH=EXTERNAL --user {identity}: \\\n"
            "     --mail-from FROM --mail-rcpt TO --crlf --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_starttls {starttls}\ntls_cert_file {cert}\ntls_key_file {key}\n"
             "auth external\nuser {identity}\nfrom FROM",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --certificate {cert} --key {key} --certificate-login explicit \\\n"
                 "     --from FROM --to TO MESSAGE")

SP_RECIPE(CERTIFICATE_IDENTITY, .id = "certificate-identity",
    .title = "a client certificate with AUTH EXTERNAL that names the identity",
    .curl = "curl --ssl-reqd --sasl-ir --url {scheme}://{host}:{port} --cert {cert} --key {key} \\\n"
            "     --login-options AUTH=EXTERNAL --user {identity}: \\\n"
            "     --mail-from FROM --mail-rcpt TO --crlf --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_starttls {starttls}\ntls_cert_file {cert}\ntls_key_file {key}\n"
             "auth external\nuser {identity}\nfrom FROM",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --certificate {cert} --key {key} --user {identity} \\\n"
                 "     --from FROM --to TO MESSAGE")

SP_RECIPE(CERTIFICATE_AT_ONCE, .id = "certificate-at-once",
    .title = "a client certificate with AUTH EXTERNAL and the identity in the same line",
    .curl = "curl --ssl-reqd --sasl-ir --url {scheme}://{host}:{port} --cert {cert} --key {key} \\\n"
            "     --login-options AUTH=EXTERNAL --user {identity}: \\\n"
            "     --mail-from FROM --mail-rcpt TO --crlf --upload-file MESSAGE",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --certificate {cert} --key {key} --certificate-login explicit \\\n"
                 "     --from FROM --to TO MESSAGE")

SP_RECIPE(CERTIFICATE_IMPLICIT, .id = "certificate-implicit",
    .title = "a client certificate and no AUTH",
    .curl = "curl --ssl-reqd --url {scheme}://{host}:{port} --cert {cert} --key {key} \\\n"
            "     --mail-from FROM --mail-rcpt TO --crlf --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_starttls {starttls}\ntls_cert_file {cert}\ntls_key_file {key}\n"
             "auth off\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\nConnection security: {security}\n"
                   "Authentication method: No authentication\n"
                   "Own certificate to import (Settings, Certificates, Your Certificates): {cert} and its key, as PKCS#12",
    .swaks = "swaks --server {host} --port {port} {tls} --tls-verify --tls-cert {cert} --tls-key {key} \\\n"
             "      --from FROM --to TO",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --certificate {cert} --key {key} --certificate-login implicit \\\n"
                 "     --from FROM --to TO MESSAGE")

SP_RECIPE(PASSWORD_NO_CERTIFICATE, .id = "password-no-certificate",
    .title = "a password, and no client certificate configured",
    .curl = "curl --ssl-reqd --url {scheme}://{host}:{port} --user {user} \\\n"
            "     --mail-from FROM --mail-rcpt TO --crlf --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_starttls {starttls}\nauth on\nuser {user}\npasswordeval COMMAND\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\nConnection security: {security}\n"
                   "Authentication method: Normal password\nUser name: {user}\n"
                   "Choose \"Cancel\" when asked for a certificate",
    .swaks = "swaks --server {host} --port {port} {tls} --tls-verify \\\n      --auth-user {user} --protect-prompt --auth-hide-password \\\n      --from FROM --to TO",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --user {user} \\\n"
                 "     --from FROM --to TO MESSAGE")

SP_RECIPE(ACCESS_TOKEN, .id = "access-token", .title = "an access token",
    .curl = "curl --ssl-reqd --url {scheme}://{host}:{port} --user {user}: \\\n"
            "     --oauth2-bearer TOKEN --login-options AUTH={mechanism} \\\n"
            "     --mail-from FROM --mail-rcpt TO --crlf --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_starttls {starttls}\nauth {method}\nuser {user}\n"
             "passwordeval COMMAND\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\nConnection security: {security}\n"
                   "Authentication method: OAuth2 (only with the providers that it knows)\nUser name: {user}",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --user {user} --token-command COMMAND \\\n"
                 "     --from FROM --to TO MESSAGE")

/* clang-format on */
