/* Requests without a signature. */
(function (root) {
    'use strict';

    var apiGateway = root.apiGateway = root.apiGateway || {};
    apiGateway.core = apiGateway.core || {};

    apiGateway.core.simpleHttpClientFactory = {
        newClient: function (config) {
            apiGateway.core.utils.assertDefined(config.endpoint, 'endpoint');
            return {
                makeRequest: function (request) {
                    var utils = apiGateway.core.utils;
                    var headers = utils.copy(request.headers);
                    if (headers['Content-Type'] === undefined) {
                        headers['Content-Type'] = config.defaultContentType;
                    }
                    if (headers.Accept === undefined) {
                        headers.Accept = config.defaultAcceptType;
                    }
                    var query = utils.query(request.queryParams);
                    return root.axios({
                        method: request.verb, url: config.endpoint + request.path + (query ? '?' + query : ''),
                        headers: headers, data: request.body, timeout: request.timeout
                    });
                }
            };
        }
    };
})(typeof window !== 'undefined' ? window : globalThis);
