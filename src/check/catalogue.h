/*
 * catalogue.h - all rows of the catalogue, for whatever SP_CHECK, SP_FINDING and
 * SP_RECIPE mean at the moment.
 *
 * No include guard: it is included once for each thing that is made from the rows (see
 * finding.h, catalogue.c).  A macro that is not defined gives nothing; all three are
 * undefined again at the end.  SP_SIDE_HERE is the side whose rows are being read.
 */
#ifndef SP_CHECK
#define SP_CHECK(...)
#endif
#ifndef SP_FINDING
#define SP_FINDING(...)
#endif
#ifndef SP_RECIPE
#define SP_RECIPE(...)
#endif

#include "cat_recipe.h"
#define SP_SIDE_HERE SP_SIDE_SERVER
#include "cat_server.h"
#undef SP_SIDE_HERE
#define SP_SIDE_HERE SP_SIDE_CLIENT
#include "cat_client.h"
#undef SP_SIDE_HERE

#undef SP_CHECK
#undef SP_FINDING
#undef SP_RECIPE
