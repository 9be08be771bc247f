/* Chooses between the two clients, and adds the API key. */
(function (root) {
    'use strict';

    var apiGateway = root.apiGateway = root.apiGateway || {};
    apiGateway.core = apiGateway.core || {};

    apiGateway.core.apiGatewayClientFactory = {
        newClient: function (simpleConfig, sigV4Config) {
            var simple = apiGateway.core.simpleHttpClientFactory.newClient(simpleConfig);
            var signing = apiGateway.core.sigV4ClientFactory.newClient(sigV4Config);
            return {
                makeRequest: function (request, authType, additionalParams, apiKey) {
                    var utils = apiGateway.core.utils, more = additionalParams || {};
                    request = utils.copy(request);
                    request.headers = utils.mergeInto(request.headers, more.headers);
                    request.queryParams = utils.mergeInto(request.queryParams, more.queryParams);
                    request.timeout = more.timeout;
                    if (apiKey) {
                        request.headers['x-api-key'] = apiKey;
                    }
                    var signs = authType === 'AWS_IAM' && sigV4Config.accessKey && sigV4Config.secretKey;
                    return (signs ? signing : simple).makeRequest(request);
                }
            };
        }
    };
})(typeof window !== 'undefined' ? window : globalThis);
