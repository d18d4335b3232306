// The OpenAPI page: Swagger UI, from the Python package that ships it, on this server's own description.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#operations",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null, // it would ask a server outside
});
