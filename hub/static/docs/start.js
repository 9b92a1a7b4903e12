"use strict";
// What the viewer draws and keyboards and screen readers stumble over: a choice of one server, a link in each button.
const plain = (system) => ({
  wrapComponents: {
    ServersContainer: () => () => null,
    DeepLink: () => ({ text }) => system.React.createElement("span", null, text),
  },
});
// Nothing is kept in the browser: a token typed here is gone with the page. No validator is asked: it is a foreign site.
window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
  plugins: [plain],
});
