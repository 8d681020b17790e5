/*
 * find_i.h - what struct sp_findings is made of: for finding.c and the reports only.
 */
#ifndef SP_FIND_I_H
#define SP_FIND_I_H

#include "arena.h"
#include "finding.h"

enum { FACTS_MAX = 64, CAPS_MAX = 64, FILL_MAX = 6 };

struct run_caps {
    bool seen; /* EHLO was answered there */
    size_t n;
    const char *line[CAPS_MAX];
};

struct sp_findings {
    enum sp_side side;
    enum sp_product product;
    struct sp_check_choice chosen;
    struct sp_check_result check[SP_CHECK_COUNT];
    struct sp_finding *finding[SP_FINDINGS_MAX]; /* worst first */
    size_t n;
    struct {
        const char *key, *value;
    } fact[FACTS_MAX];
    size_t n_facts;
    struct {
        const char *name, *value;
    } fill[FILL_MAX]; /* of recipes */
    size_t n_fill;
    struct run_caps caps[SP_CAPS_COUNT];
    enum sp_recipe_id recipe[SP_RECIPE_COUNT]; /* each once, the first recommended */
    size_t n_recipes, n_recommended;           /* those stand first */
    struct sp_progress progress;
    enum sp_check_id running;
    unsigned done, total;                /* checks of this run */
    unsigned connections, failed_logins; /* of it all; 0: the checks' sum */
    int status; /* the probing itself failed: sysexits.h, with words */
    char words[400];
    bool interrupted;
    int lost; /* -SP_E...: something found could not be kept */
    struct sp_arena arena;
};

#endif
