/* Requests signed with AWS Signature Version 4. */
(function (root) {
    'use strict';

    var apiGateway = root.apiGateway = root.apiGateway || {};
    apiGateway.core = apiGateway.core || {};

    var algorithm = 'AWS4-HMAC-SHA256';

    function hash(text) {
        return root.CryptoJS.SHA256(text).toString();
    }

    function hmac(key, text) {
        return root.CryptoJS.HmacSHA256(text, key);
    }

    /* The path is signed with each of its bytes encoded once more, as every service but S3 wants it. */
    function canonicalPath(path) {
        return path.split('/').map(function (segment) {
            return encodeURIComponent(segment).replace(/[!'()*]/g, function (c) {
                return '%' + c.charCodeAt(0).toString(16).toUpperCase();
            });
        }).join('/');
    }

    apiGateway.core.sigV4ClientFactory = {
        newClient: function (config) {
            var utils = apiGateway.core.utils;
            utils.assertDefined(config.endpoint, 'endpoint');
            var url = new URL(config.endpoint);
            return {
                makeRequest: function (request) {
                    var body = request.body === undefined || request.verb.toUpperCase() === 'GET' || request.verb.toUpperCase() === 'HEAD' ? '' : request.body;
                    if (typeof body !== 'string') {
                        body = JSON.stringify(body);
                    }
                    var query = utils.query(request.queryParams);
                    var basePath = url.pathname.replace(/\/$/, '');
                    var date = new Date().toISOString().replace(/[:-]|\.\d{3}/g, '');
                    var scope = date.slice(0, 8) + '/' + config.region + '/' + (config.serviceName || 'execute-api') + '/aws4_request';

                    var headers = utils.copy(request.headers);
                    headers['x-amz-date'] = date;
                    if (config.sessionToken) {
                        headers['x-amz-security-token'] = config.sessionToken;
                    }
                    var signed = { host: url.host };
                    Object.keys(headers).forEach(function (name) {
                        signed[name.toLowerCase()] = String(headers[name]).trim().replace(/ +/g, ' ');
                    });
                    var names = Object.keys(signed).sort();
                    var canonical = [
                        request.verb.toUpperCase(), canonicalPath(basePath + request.path), query,
                        names.map(function (name) { return name + ':' + signed[name] + '\n'; }).join(''), names.join(';'), hash(body)
                    ].join('\n');
                    var key = hmac(hmac(hmac(hmac('AWS4' + config.secretKey, date.slice(0, 8)), config.region), config.serviceName || 'execute-api'), 'aws4_request');
                    var signature = hmac(key, [algorithm, date, scope, hash(canonical)].join('\n')).toString();
                    headers.Authorization = algorithm + ' Credential=' + config.accessKey + '/' + scope + ', SignedHeaders=' + names.join(';') + ', Signature=' + signature;

                    if (headers['Content-Type'] === undefined) {
                        headers['Content-Type'] = config.defaultContentType;
                    }
                    if (headers.Accept === undefined) {
                        headers.Accept = config.defaultAcceptType;
                    }
                    return root.axios({
                        method: request.verb, url: config.endpoint + request.path + (query ? '?' + query : ''),
                        headers: headers, data: body, timeout: request.timeout
                    });
                }
            };
        }
    };
})(typeof window !== 'undefined' ? window : globalThis);
