/* srv_mutate_rules.c - the expectations of srv_rules.c inside srv_mutate. */
int rules_main(int argc, char **argv);
#define main rules_main
#include "srv_rules.c" /* its TESTs are wanted, its main is not */
