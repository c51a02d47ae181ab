// ESP-IDF: esp_http_server.h.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "esp_err.h"
#include "freertos/FreeRTOS.h"

#define HTTPD_MAX_URI_LEN 512
#define HTTPD_RESP_USE_STRLEN -1
#define HTTPD_SOCK_ERR_FAIL -1
#define HTTPD_SOCK_ERR_INVALID -2
#define HTTPD_SOCK_ERR_TIMEOUT -3

typedef void* httpd_handle_t;
enum http_method { HTTP_DELETE = 0, HTTP_GET = 1, HTTP_HEAD = 2, HTTP_POST = 3 };
typedef enum http_method httpd_method_t;
typedef void (*httpd_free_ctx_fn_t)(void* ctx);
typedef void (*httpd_work_fn_t)(void* arg);

typedef struct httpd_config {
  unsigned task_priority;
  size_t stack_size;
  BaseType_t core_id;
  uint16_t server_port;
  uint16_t ctrl_port;
  uint16_t max_open_sockets;
  uint16_t max_uri_handlers;
  uint16_t max_resp_headers;
  uint16_t backlog_conn;
  bool lru_purge_enable;
  uint16_t recv_wait_timeout;
  uint16_t send_wait_timeout;
} httpd_config_t;

#define HTTPD_DEFAULT_CONFIG() \
  { tskIDLE_PRIORITY + 5, 4096, tskNO_AFFINITY, 80, 32768, 7, 8, 8, 5, false, 5, 5 }

typedef struct httpd_req {
  httpd_handle_t handle;
  int method;
  const char uri[HTTPD_MAX_URI_LEN + 1];
  size_t content_len;
  void* aux;
  void* user_ctx;
  void* sess_ctx;
  httpd_free_ctx_fn_t free_ctx;
  bool ignore_sess_ctx_changes;
} httpd_req_t;

typedef struct httpd_uri {
  const char* uri;
  httpd_method_t method;
  esp_err_t (*handler)(httpd_req_t* r);
  void* user_ctx;
} httpd_uri_t;

typedef enum {
  HTTPD_500_INTERNAL_SERVER_ERROR = 0,
  HTTPD_501_METHOD_NOT_IMPLEMENTED,
  HTTPD_505_VERSION_NOT_SUPPORTED,
  HTTPD_400_BAD_REQUEST,
  HTTPD_401_UNAUTHORIZED,
  HTTPD_403_FORBIDDEN,
  HTTPD_404_NOT_FOUND,
} httpd_err_code_t;

extern "C" {
esp_err_t httpd_start(httpd_handle_t* handle, const httpd_config_t* config);
esp_err_t httpd_register_uri_handler(httpd_handle_t handle, const httpd_uri_t* uri_handler);
esp_err_t httpd_resp_set_status(httpd_req_t* r, const char* status);
esp_err_t httpd_resp_set_type(httpd_req_t* r, const char* type);
/// Field and value are kept by address until the answer is sent.
esp_err_t httpd_resp_set_hdr(httpd_req_t* r, const char* field, const char* value);
esp_err_t httpd_resp_send(httpd_req_t* r, const char* buf, ssize_t buf_len);
esp_err_t httpd_resp_send_err(httpd_req_t* req, httpd_err_code_t error, const char* msg);
int httpd_send(httpd_req_t* r, const char* buf, size_t buf_len);
int httpd_socket_send(httpd_handle_t hd, int sockfd, const char* buf, size_t buf_len, int flags);
int httpd_req_to_sockfd(httpd_req_t* r);
size_t httpd_req_get_hdr_value_len(httpd_req_t* r, const char* field);
esp_err_t httpd_req_get_hdr_value_str(httpd_req_t* r, const char* field, char* val, size_t val_size);
esp_err_t httpd_sess_trigger_close(httpd_handle_t handle, int sockfd);
esp_err_t httpd_sess_update_lru_counter(httpd_handle_t handle, int sockfd);
esp_err_t httpd_queue_work(httpd_handle_t handle, httpd_work_fn_t work, void* arg);
}
