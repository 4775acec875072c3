/*
 * The parts of the HTTP client, one idea a file: http.c has the client, its calls and the loop;
 * http_request.c makes a call out of a request and sends it; http_answer.c keeps what comes back
 * and says what became of the call. Internal to io/.
 */
#ifndef MW_IO_HTTP_INTERNAL_H
#define MW_IO_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "io/http.h"

struct mw_http {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    int handles; /* libuv handles that are not closed yet */
    bool freeing;
    bool starved; /* a socket of a call is not watched: the calls are given up */
    int64_t timeout_ms;
    char *ca_file, *cert_file, *key_file, *proxy, *user_agent;
    bool insecure;
    struct mw_http_call *calls;
    struct mw_http_call *delivering; /* whose on_data runs; NULL again when it is gone */
};

struct mw_http_call {
    struct mw_http *http;
    struct mw_http_call *prev, *next;
    CURL *easy;
    struct curl_slist *headers;
    char *where; /* host:port, for people */
    bool safe;   /* GET, HEAD, OPTIONS: may be sent twice */
    bool tls;
    bool started;       /* a request was about to be sent */
    bool headers_done;  /* the empty line behind the answer's headers was seen */
    bool retry_refused; /* curl wanted to send it again, on another connection */
    bool lost;          /* curl cannot go on with it */
    bool fresh;         /* has something for on_data */
    int64_t timeout_ms;

    int upload_fd;
    curl_off_t upload_left;

    char *download_path;
    char *download_temp;
    int download_fd;

    struct mw_buf got_headers; /* name NUL value NUL ... */
    struct mw_buf body;        /* with on_data: what it has not got yet */
    size_t streamed;           /* bytes that on_data got */
    int data_error;            /* on_data's */
    int local_error;           /* why one of our callbacks stopped the transfer */
    char curl_error[CURL_ERROR_SIZE];

    mw_http_data_cb on_data;
    mw_http_cb cb;
    void *userdata;
};

/* Makes a call that curl can start, with all its options. Returns 0 or a negative errno with its
 * sentence. */
int mw_http_call_new(struct mw_http *http, const struct mw_http_request *req,
                     struct mw_http_call **ret, struct mw_error *err);
void mw_http_call_free(struct mw_http_call *call);

/* True when the server may have seen something of the request. */
bool mw_http_call_sent(const struct mw_http_call *call);

/* Sets curl's callbacks for the answer. */
CURLcode mw_http_answer_listen(struct mw_http_call *call);

/* True when on_data is to get what is in `body`. */
bool mw_http_answer_streams(const struct mw_http_call *call);

/* What became of the call: curl's code, or `canceled` (a negative errno) when it is not 0. The body
 * moves into `ret`, which points to what is the call's. */
void mw_http_answer_judge(struct mw_http_call *call, CURLcode code, int canceled,
                          struct mw_http_response *ret);

#endif
