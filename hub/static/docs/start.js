"use strict";
// Nothing is kept in the browser: a token typed here is gone with the page. No validator is asked: it is a foreign site.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
