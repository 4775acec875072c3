/*
 * The metrics, as OpenMetrics text (https://openmetrics.io), made from the tree of `status` by one
 * table: whatever has a number there can have a row here.
 */
#ifndef MW_GATEWAY_METRICS_H
#define MW_GATEWAY_METRICS_H

#include "base/buf.h"
#include "base/json.h"

/* Appends the text, up to "# EOF". A number that the tree does not have is left out. Returns 0 or
 * -ENOMEM. */
int gw_metrics_write(const cJSON *status, struct mw_buf *b);
/* Appends the page of the handbook. Returns 0 or -ENOMEM. */
int gw_metrics_document(struct mw_buf *b);

#endif
