/* netaddr.c - see netaddr.h. */
#include "netaddr.h"

#include "text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const struct sockaddr_in *in4(const struct sockaddr *sa)
{
    return (const struct sockaddr_in *)(const void *)sa;
}

static const struct sockaddr_in6 *in6(const struct sockaddr *sa)
{
    return (const struct sockaddr_in6 *)(const void *)sa;
}

void sp_addr_ip(const struct sockaddr *sa, char *out, size_t cap)
{
    char ip[INET6_ADDRSTRLEN] = "";

    if (sa->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &in4(sa)->sin_addr, ip, sizeof ip);
    else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6(sa)->sin6_addr))
        (void)inet_ntop(AF_INET, &in6(sa)->sin6_addr.s6_addr[12], ip, sizeof ip);
    else if (sa->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &in6(sa)->sin6_addr, ip, sizeof ip);
    else if (sa->sa_family == AF_UNIX)
        (void)snprintf(ip, sizeof ip, "unix");
    (void)snprintf(out, cap, "%s", ip);
}

uint16_t sp_addr_port(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohs(in4(sa)->sin_port);
    if (sa->sa_family == AF_INET6)
        return ntohs(in6(sa)->sin6_port);
    return 0;
}

void sp_naddr_text(const struct sockaddr *sa, char *out, size_t cap)
{
    char ip[INET6_ADDRSTRLEN];

    sp_addr_ip(sa, ip, sizeof ip);
    if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
        (void)snprintf(out, cap, "%s", ip);
    else if (strchr(ip, ':'))
        (void)snprintf(out, cap, "[%s]:%u", ip, sp_addr_port(sa));
    else
        (void)snprintf(out, cap, "%s:%u", ip, sp_addr_port(sa));
}

int sp_addr_literal(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)ret;
    struct sockaddr_in *a4 = (struct sockaddr_in *)ret;
    struct sockaddr_storage keep;
    char ip[INET6_ADDRSTRLEN + 2];
    size_t n = strlen(text);

    if (n >= sizeof ip)
        return -SP_EINPUT;
    if (n > 2 && text[0] == '[' && text[n - 1] == ']')
        memcpy(ip, text + 1, n - 2), ip[n - 2] = 0;
    else
        memcpy(ip, text, n + 1);
    keep = *ret;
    memset(ret, 0, sizeof *ret);
    if (text[0] != '[' && inet_pton(AF_INET, ip, &a4->sin_addr) == 1) {
        a4->sin_family = AF_INET;
        a4->sin_port = htons(port);
        return sizeof *a4;
    }
    if (inet_pton(AF_INET6, ip, &a6->sin6_addr) == 1) {
        a6->sin6_family = AF_INET6;
        a6->sin6_port = htons(port);
        return sizeof *a6;
    }
    *ret = keep;
    return -SP_EINPUT;
}

int sp_naddr_parse(const char *text, struct sockaddr_storage *ret)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2];
    uint64_t port;
    int rc;

    if (!colon || (size_t)(colon - text) >= sizeof host)
        return -SP_EINPUT;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    if (sp_str_u64(sp_str(colon + 1), 65535, &port) < 0)
        return -SP_EINPUT;
    if (strchr(host, ':') && host[0] != '[')
        return -SP_EINPUT; /* "::1:587" could mean two things */
    rc = sp_addr_literal(strcmp(host, "*") == 0 ? "::" : host, (uint16_t)port, ret);
    return rc < 0 ? rc : 0;
}

socklen_t sp_addr_len(const struct sockaddr_storage *ss)
{
    return ss->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                     : sizeof(struct sockaddr_in);
}
