/*
 * cat_recipe.h - what a client must be set to so that it works with a server: rows of the
 * catalogue.  See cat_server.h.
 *
 * {host} {port} {user} {scheme} are filled in from the run, {cert} and {key} stand for
 * files, words in capitals are for the reader to replace.  The row of `sallyport` is one
 * line: it stands in the summary.
 */
/* clang-format off */

SP_RECIPE(PASSWORD_STARTTLS, .id = "password-starttls", .title = "a password over STARTTLS",
    .curl = "curl --ssl-reqd --url smtp://{host}:{port} --user {user} \\\n"
            "     --mail-from FROM --mail-rcpt TO --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_starttls on\nauth on\nuser {user}\npasswordeval COMMAND\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\nConnection security: STARTTLS\n"
                   "Authentication method: Normal password\nUser name: {user}",
    .swaks = "swaks --server {host} --port {port} --tls --tls-verify \\\n      --auth-user {user} --from FROM --to TO",
    .sallyport = "sallyport send --server smtp://{host}:{port} --user {user}")

SP_RECIPE(PASSWORD_IMPLICIT, .id = "password-implicit", .title = "a password over implicit TLS",
    .curl = "curl --url smtps://{host}:{port} --user {user} \\\n"
            "     --mail-from FROM --mail-rcpt TO --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_starttls off\nauth on\nuser {user}\npasswordeval COMMAND\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\nConnection security: SSL/TLS\n"
                   "Authentication method: Normal password\nUser name: {user}",
    .swaks = "swaks --server {host} --port {port} --tls-on-connect --tls-verify \\\n      --auth-user {user} --from FROM --to TO",
    .sallyport = "sallyport send --server smtps://{host}:{port} --user {user}")

SP_RECIPE(CERTIFICATE_EXTERNAL, .id = "certificate-external",
    .title = "a client certificate with AUTH EXTERNAL",
    .curl = "curl --ssl-reqd --url {scheme}://{host}:{port} --cert {cert} --key {key} \\\n"
            "     --login-options AUTH=EXTERNAL --user {user}: \\\n"
            "     --mail-from FROM --mail-rcpt TO --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_cert_file {cert}\ntls_key_file {key}\n"
             "auth external\nuser {user}\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\n"
                   "Authentication method: TLS Certificate\nUser name: {user}",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --certificate {cert} --key {key} --certificate-login explicit")

SP_RECIPE(CERTIFICATE_IDENTITY, .id = "certificate-identity",
    .title = "a client certificate with AUTH EXTERNAL that names the identity",
    .curl = "curl --ssl-reqd --sasl-ir --url {scheme}://{host}:{port} --cert {cert} --key {key} \\\n"
            "     --login-options AUTH=EXTERNAL --user IDENTITY: \\\n"
            "     --mail-from FROM --mail-rcpt TO --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_cert_file {cert}\ntls_key_file {key}\n"
             "auth external\nuser IDENTITY\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\n"
                   "Authentication method: TLS Certificate\nUser name: IDENTITY",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --certificate {cert} --key {key} --user IDENTITY")

SP_RECIPE(CERTIFICATE_IMPLICIT, .id = "certificate-implicit",
    .title = "a client certificate and no AUTH",
    .curl = "curl --ssl-reqd --url {scheme}://{host}:{port} --cert {cert} --key {key} \\\n"
            "     --mail-from FROM --mail-rcpt TO --upload-file MESSAGE",
    .msmtp = "host {host}\nport {port}\ntls on\ntls_cert_file {cert}\ntls_key_file {key}\nauth off\nfrom FROM",
    .thunderbird = "Server name: {host}\nPort: {port}\nAuthentication method: No authentication",
    .swaks = "swaks --server {host} --port {port} --tls --tls-verify --tls-cert {cert} --tls-key {key} \\\n"
             "      --from FROM --to TO",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --certificate {cert} --key {key} --certificate-login implicit")

SP_RECIPE(PASSWORD_NO_CERTIFICATE, .id = "password-no-certificate",
    .title = "a password, and no client certificate configured",
    .curl = "without --cert: curl --ssl-reqd --url {scheme}://{host}:{port} --user {user} \\\n"
            "     --mail-from FROM --mail-rcpt TO --upload-file MESSAGE",
    .msmtp = "without tls_cert_file: host {host}\nport {port}\ntls on\nauth on\nuser {user}\npasswordeval COMMAND\nfrom FROM",
    .thunderbird = "Authentication method: Normal password\nUser name: {user}\n"
                   "Choose \"Cancel\" when asked for a certificate",
    .swaks = "swaks --server {host} --port {port} --tls --tls-verify --auth-user {user} --from FROM --to TO",
    .sallyport = "sallyport send --server {scheme}://{host}:{port} --user {user}")

/* clang-format on */
