/* t_conf.c - a configuration is read, filled with defaults, written and read again. */
#include "conf_in.h"
#include "t.h"

#include <stdlib.h>

static struct sp_conf_errors errs;

/* Parses; prints what was noted when that is not what the test wants. */
static struct sp_conf *parse(const char *text, size_t want_errors)
{
    struct sp_conf *c;

    sp_conf_errors_init(&errs);
    c = sp_conf_parse(sp_str(text), "/etc/sallyport/sallyport.conf", &errs);
    if (errs.errors != want_errors) {
        struct sp_buf out;

        sp_buf_init(&out, 1 << 20);
        (void)sp_conf_errors_render(&errs, &out, false);
        printf("%.*s", (int)out.n, out.p);
        sp_buf_free(&out);
    }
    CHECK_INT(errs.errors, want_errors);
    CHECK((c == NULL) == (want_errors > 0));
    return c;
}

static void drop(struct sp_conf *c)
{
    sp_conf_unref(c);
    sp_conf_errors_free(&errs);
}

TEST("an empty file runs")
{
    struct sp_conf *c = parse("", 0);

    CHECK_STR(c->data_directory, "/var/lib/sallyport");
    CHECK_STR(c->control_socket, "/var/lib/sallyport/control");
    CHECK_INT(c->message_size, 50 << 20);
    CHECK_INT(c->queue_lifetime_s, 5 * 86400);
    CHECK_INT(c->n_listeners, 2);
    CHECK_STR(c->listeners[0].address.v[0].text, "*:587");
    CHECK_INT(c->listeners[0].tls, SP_CONF_STARTTLS);
    CHECK_STR(c->listeners[1].address.v[0].text, "*:465");
    CHECK_INT(c->listeners[1].tls, SP_CONF_IMPLICIT);
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(c->listeners[i].n_tls_certs, 1);
        CHECK(c->listeners[i].tls_certs[0]->self_signed);
        CHECK_INT(c->listeners[i].auth_clear.n, 0);
        CHECK_INT(c->listeners[i].auth_tls.n, 3);
    }
    CHECK_INT(c->n_routes, 1);
    CHECK_STR(c->routes[0].path, "/var/lib/sallyport/mail/%d/%u");
    drop(c);
}
T_MAIN
